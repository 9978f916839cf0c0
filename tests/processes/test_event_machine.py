"""
Logs, replays, ends and wakes against a plain model.
"""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule, run_state_machine_as_test

from lashstore import (
    CancelledOutput,
    InvalidProcessEventError,
    ProcessConflictError,
    ProcessTerminalError,
    SuccessOutput,
    codec,
)

from .kit import FRAME, OTHER, ROOT, event, registration
from .machine import CAMPAIGN, SHORT, SHORT_ON_SERVER, RegistryMachine

PROCESSES = ("p", "q")
processes = st.sampled_from(PROCESSES)
keys = st.sampled_from([None, None, "k1", "k2", "k3"])
targets = st.sampled_from([None, None, FRAME, OTHER])
# Event type, payload: what becomes of it.
EVENTS = [
    ("producer.plain", 1),
    ("producer.plain", 1.0),
    ("producer.plain", {"a": [True]}),
    ("producer.line", {"n": 1}),
    ("producer.line", {"n": "1"}),
    ("producer.wake", {"wake_input": "hi"}),
    ("producer.wake", {"else": 1}),
    ("producer.const", {"text": 5}),
    ("producer.const", {}),
    ("producer.done", 7),
    ("producer.broke", {"why": "x"}),
    ("undeclared", 1),
]
events = st.sampled_from(EVENTS)
outputs = st.sampled_from(
    [SuccessOutput(value=1), SuccessOutput(value=2), CancelledOutput(message="m")]
)
TERMINALS = {"producer.done": "completed", "producer.broke": "failed"}
BROKEN = [
    ("producer.line", {"n": "1"}),
    ("producer.const", {}),
    ("undeclared", 1),
]


class Life:
    """
    The model of one process.
    """

    def __init__(self, target, now_ms):
        self.target = target
        self.log = []
        self.keyed = {}
        self.status = "running"
        self.updated_at_ms = now_ms
        self.ended_at_ms = None
        # Sequence to whether there is somebody to wake.
        self.wakes = {}


class EventMachine(RegistryMachine):
    """
    Two processes, of which one wakes a session.
    """

    def __init__(self):
        super().__init__()
        self.lives = {}
        self.born("p", ROOT)
        self.born("q", None)

    def born(self, process_id, target):
        """
        Register a process.
        """
        self.registry.register_process(registration(process_id, wake_target=target))
        self.lives[process_id] = Life(target, self.now_ms)

    def record(self, process_id, given, key, *, target, state):
        """
        Note an event that was inserted.
        """
        life = self.lives[process_id]
        life.log.append((*given, self.now_ms))
        sequence = len(life.log)
        if key is not None:
            life.keyed[key] = sequence
        life.updated_at_ms = self.now_ms
        if state is not None:
            life.status, life.ended_at_ms = state, self.now_ms
        if given in [
            ("producer.wake", {"wake_input": "hi"}),
            ("producer.const", {"text": 5}),
        ]:
            life.wakes[sequence] = (target or life.target) is not None
        return sequence

    @rule(process_id=processes, given=events, key=keys, scope=targets)
    def append(self, process_id, given, key, scope):
        """
        Replays first, then what is wrong, then the end, then the log.
        """
        life = self.lives[process_id]
        request = event(*given, key, scope)

        def call():
            return self.registry.append_event(process_id, request)

        if key in life.keyed:
            sequence = life.keyed[key]
            stored = life.log[sequence - 1]
            if _text(stored[:2]) != _text(given):
                with pytest.raises(ProcessConflictError):
                    call()
                return
            result = call()
            assert not result.inserted
            assert sequence == result.event.sequence
            assert life.wakes.get(sequence, False) == (result.wake_delivery is not None)
            return
        if given in BROKEN or (given[0] in TERMINALS and key is None):
            with pytest.raises(InvalidProcessEventError):
                call()
            return
        if given[0] in TERMINALS and life.status != "running":
            with pytest.raises(ProcessTerminalError):
                call()
            return
        result = call()
        sequence = self.record(
            process_id, given, key, target=scope, state=TERMINALS.get(given[0])
        )
        assert result.inserted
        assert (sequence, self.now_ms) == (
            result.event.sequence,
            result.event.occurred_at_ms,
        )
        assert life.wakes.get(sequence, False) == (result.wake_delivery is not None)

    @rule(process_id=processes, output=outputs)
    def complete(self, process_id, output):
        """
        Once, unless it is the very same again.
        """
        life = self.lives[process_id]
        state = "completed" if isinstance(output, SuccessOutput) else "cancelled"
        key = f"process:{process_id}:terminal:process.{state}"
        given = (f"process.{state}", {"await_output": _plain(output)})

        def call():
            return self.registry.complete_process(process_id, output)

        if key in life.keyed:
            if _text(life.log[life.keyed[key] - 1][:2]) == _text(given):
                assert call().is_terminal
                return
            with pytest.raises(ProcessConflictError):
                call()
            return
        if life.status != "running":
            with pytest.raises(ProcessTerminalError):
                call()
            return
        assert state == call().status.label
        self.record(process_id, given, key, target=None, state=state)

    @rule(process_id=processes, sequence=st.integers(0, 12))
    def acknowledge(self, process_id, sequence):
        """
        A wake, or nothing.
        """
        self.registry.ack_wake(process_id, sequence)
        self.lives[process_id].wakes.pop(sequence, None)

    @rule()
    def delete_session(self):
        """
        Take the target of whoever wakes it.
        """
        self.registry.delete_session_process_state("root")
        for life in self.lives.values():
            if life.target == ROOT:
                life.target = None
                life.updated_at_ms = self.now_ms

    @rule(ago_ms=st.sampled_from([-1, 0, 50]))
    def prune(self, ago_ms):
        """
        Forget what ended before, and begin it anew.
        """
        cutoff_ms = self.now_ms - ago_ms
        gone = [
            process_id
            for process_id, life in self.lives.items()
            if life.ended_at_ms is not None and life.ended_at_ms < cutoff_ms
        ]

        report = self.registry.prune_terminal_processes(cutoff_ms)

        assert len(gone) == report.pruned_processes
        assert report.pruned_events == sum(
            len(self.lives[process_id].log) for process_id in gone
        )
        for process_id in gone:
            self.born(process_id, ROOT if process_id == "p" else None)

    @invariant()
    def stored_is_told(self):
        """
        Every way to read gives what the model knows.
        """
        pending = []
        for process_id, life in self.lives.items():
            log = self.registry.events_after(process_id, 0)
            assert list(range(1, len(life.log) + 1)) == [e.sequence for e in log]
            assert [_text(entry) for entry in life.log] == [
                _text((e.event_type, e.payload, e.occurred_at_ms)) for e in log
            ]
            assert log[-3:] == self.registry.recent_events(process_id, 3)
            assert log[2:4] == self.registry.events_after(process_id, 2, limit=2)
            assert sum(
                entry[0] == "producer.plain" for entry in life.log[:5]
            ) == self.registry.count_events_through(process_id, "producer.plain", 5)
            assert sorted(life.wakes) == [
                e.sequence for e in self.registry.wake_events_after(process_id, 0)
            ]
            record = self.registry.get_process(process_id)
            assert (life.status, life.updated_at_ms, life.target) == (
                record.status.label,
                record.updated_at_ms,
                record.wake_target,
            )
            pending += [
                (life.log[sequence - 1][2], process_id, sequence)
                for sequence, has_target in life.wakes.items()
                if has_target
            ]
        assert sorted(pending) == [
            (each.created_at_ms, each.process_id, each.sequence)
            for each in self.registry.pending_wake_deliveries()
        ]


def _plain(output):
    return codec.from_json(object, codec.to_json(output))


def _text(value):
    # True, 1 and 1.0 are three values, though equal in Python.
    return codec.encode_json(list(value), "it")


class EventMachineOnServer(EventMachine):
    """
    The same on PostgreSQL.
    """

    on_server = True


def test_logs_are_as_the_model():
    """
    A short run; the campaign below goes on for long.
    """
    run_state_machine_as_test(EventMachine, settings=SHORT)


def test_events_on_a_server():
    """
    The same there.
    """
    run_state_machine_as_test(EventMachineOnServer, settings=SHORT_ON_SERVER)


@pytest.mark.campaign
def test_logs_are_as_the_model_for_long():
    """
    A thousand long lives.
    """
    run_state_machine_as_test(EventMachine, settings=CAMPAIGN)

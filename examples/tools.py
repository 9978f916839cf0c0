"""
An agent that uses tools, and repeats none when it is killed and restarted.

    python tools.py "What is the weather in Bern?"
    python tools.py "And in Rome?" --die-after mail     # killed by SIGKILL
    python tools.py                                     # goes on, mails no more

What the model decides and what the tools return are recorded effects: a turn
that is run again is told what happened the first time instead of doing it
again.
"""

import argparse
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lashstore import (
    ActivePath,
    EffectController,
    EffectEnvelope,
    EffectHost,
    GraphAppend,
    HydratedCheckpoint,
    NextTurnIngress,
    PendingTurnInputDraft,
    RuntimeCommit,
    SessionNode,
    SessionStoreFactory,
    Store,
    TurnScope,
)
from lashstore.runtime import Turn, TurnRunner, keep_session_lease

Message = dict[str, Any]


class Agent:
    """
    A model, its tools, and where they are recorded.
    """

    def __init__(
        self, store: Store, effects: EffectHost, outbox: Path, die_after: str | None
    ) -> None:
        self._store = store
        self._effects = effects
        self._outbox = outbox
        self._die_after = die_after
        self._tools: dict[str, Callable[[Message], str]] = {
            "weather": look_up_weather,
            "mail": self._mail,
        }

    def run_turn(self, turn: Turn) -> RuntimeCommit:
        """
        Ask the model and run the tools it asks for, until it answers.
        """
        # A turn that is run again has another id, but begins with the same
        # input: that is what its effects go by.
        scope = TurnScope(
            session_id=self._store.session_id, turn_id=turn.inputs[0].input_id
        )
        effects = self._effects.scoped(scope)
        messages: list[Message] = [each.input for each in turn.inputs]
        known = self._conversation()
        calls = 0
        while True:
            reply = self._ask_model(effects, len(messages), [*known, *messages])
            messages.append(reply)
            if "tool" not in reply:
                break
            calls += 1
            messages.append(self._call(effects, calls, reply))
        return RuntimeCommit(
            session_id=self._store.session_id,
            graph=GraphAppend(nodes=chain(turn, messages)),
            checkpoint=HydratedCheckpoint(tool_state={"calls": calls}),
        )

    def _conversation(self) -> list[Message]:
        session = self._store.load_session(ActivePath())
        if session is None:
            return []
        return [node.payload for node in session.graph.active_path()]

    def _ask_model(
        self, effects: EffectController, step: int, messages: Sequence[Message]
    ) -> Message:
        # What a model says differs from time to time; recorded, it is said
        # once, and the same tools are asked for again.
        reply: Message = effects.step(f"model-{step}", lambda: ask_model(messages))
        return reply

    def _call(self, effects: EffectController, number: int, reply: Message) -> Message:
        name = reply["tool"]
        command = {"tool": name, "arguments": reply["arguments"]}
        result = effects.execute_effect(
            EffectEnvelope(
                kind="tool_call",
                effect_id=f"call-{number}",
                replay_key=f"tool:{number}",
                command=command,
            ),
            lambda envelope: self._tools[name](envelope.command["arguments"]),
        )
        if name == self._die_after:
            # The moment that would repeat it: done, and nothing committed.
            print(f"killed after {name}", flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        return {"role": "tool", "content": result}

    def _mail(self, arguments: Message) -> str:
        # What cannot be taken back; a line a mail that really went out.
        with self._outbox.open("a") as outbox:
            outbox.write(f"{arguments['text']}\n")
        return "sent"


def look_up_weather(arguments: Message) -> str:
    """
    Stand in for a service.
    """
    return f"sunny in {arguments['city']}"


def ask_model(messages: Sequence[Message]) -> Message:
    """
    Stand in for a model: it looks up the weather, mails it, and says so.
    """
    since = max(i for i, each in enumerate(messages) if each["role"] == "user")
    city = str(messages[since]["content"]).rstrip("?").split()[-1]
    results = [each["content"] for each in messages[since:] if each["role"] == "tool"]
    if not results:
        return {"role": "assistant", "tool": "weather", "arguments": {"city": city}}
    if len(results) == 1:
        text = f"It is {results[0]}."
        return {"role": "assistant", "tool": "mail", "arguments": {"text": text}}
    return {"role": "assistant", "content": f"It is {results[0]}; I have mailed it."}


def chain(turn: Turn, messages: Sequence[Message]) -> tuple[SessionNode, ...]:
    """
    Make a node of each message, each after the one before.
    """
    leaf = None if turn.head is None else turn.head.leaf_node_id
    nodes: list[SessionNode] = []
    for number, message in enumerate(messages):
        node_id = f"{turn.turn_id}-{number}"
        nodes.append(SessionNode(node_id=node_id, parent_node_id=leaf, payload=message))
        leaf = node_id
    return tuple(nodes)


def main() -> None:
    """
    Enqueue the question, if there is one, and answer all that wait.
    """
    arguments = parse_arguments()
    root = Path(arguments.root)
    with (
        SessionStoreFactory(root / "sessions") as factory,
        EffectHost.open(root / "effects.db") as effects,
        factory.create_store("agent") as store,
        keep_session_lease(store) as keeper,
    ):
        if arguments.question is not None:
            store.enqueue_pending_turn_input(
                PendingTurnInputDraft(
                    ingress=NextTurnIngress(),
                    input={"role": "user", "content": arguments.question},
                )
            )
        agent = Agent(store, effects, root / "outbox.txt", arguments.die_after)
        # One question a turn, so that a turn run again has the same input.
        runner = TurnRunner(store, keeper, agent.run_turn, max_inputs=1)
        while outcome := runner.run_next():
            answer = store.load_session(ActivePath())
            assert answer is not None, outcome
            print(answer.graph.active_path()[-1].payload["content"], flush=True)


def parse_arguments() -> argparse.Namespace:
    """
    Read the command line.
    """
    parser = argparse.ArgumentParser(description="An agent whose tools run once.")
    parser.add_argument("question", nargs="?", help="what to ask; default: go on")
    parser.add_argument("--root", default="agent", help="folder to keep everything in")
    parser.add_argument(
        "--die-after",
        choices=["weather", "mail"],
        help="kill this process after the tool has run",
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()

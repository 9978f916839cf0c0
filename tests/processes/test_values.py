"""
Value types: frozen, keyword-only, compared by value, with a JSON form.
"""

import msgspec
import pytest

import lashstore
from lashstore import codec

from .kit import FRAME, ROOT, WAKE, event, owner, registration
from .test_completion import OUTPUTS, WAIT
from .test_facts import REF, REQUEST, STARTED


@pytest.fixture(name="rich")
def _rich(registry):
    """
    Return values of every kind that a registry gives out.
    """
    registry.register_process(registration("p", wake_target=FRAME))
    registry.set_external_ref("p", REF)
    registry.record_first_started("p", STARTED)
    registry.request_process_abandon("p", REQUEST)
    record = registry.set_process_wait("p", WAIT)
    appended = registry.append_event("p", event("producer.wake", {"wake_input": 1}))
    grant = registry.grant_handle(ROOT, "p", lashstore.ProcessHandleDescriptor())
    lease = registry.claim_process_lease("p", owner(), 10)
    report = registry.delete_session_process_state("root")
    ended = registry.complete_process("p", OUTPUTS["abandoned"])
    return [record, appended, grant, lease.lease, report, ended, WAKE, registration()]


def test_values_survive_json(rich):
    """
    `from_json` reads back what `to_json` wrote.
    """
    for value in rich:
        assert value == codec.from_json(type(value), codec.to_json(value))


def test_unions_survive_json():
    """
    Each member says which one it is.
    """
    for output in OUTPUTS.values():
        text = codec.to_json(output)
        assert output == codec.from_json(lashstore.AwaitOutput, text)


def test_wire_names_are_the_reference_s():
    """
    Discriminators and words that other tools may look for.
    """
    plain = {
        key: msgspec.json.decode(codec.to_json(output))
        for key, output in OUTPUTS.items()
    }

    assert ["success", "failure", "cancelled", "abandoned"] == [
        each["type"] for each in plain.values()
    ]
    assert "timeout" == plain["failed"]["class"]
    wait = msgspec.json.decode(codec.to_json(WAIT))
    assert "signal" == wait["kind"]["kind"]
    assert '{"state":"running"}' == codec.to_json(lashstore.RunningStatus())


def test_values_are_frozen(rich):
    """
    A change is a new value.
    """
    for value in rich:
        name = value.__struct_fields__[0]
        with pytest.raises(AttributeError):
            setattr(value, name, None)


@pytest.mark.parametrize("name", [name for name in dir(lashstore) if "Process" in name])
def test_every_public_name_is_importable(name):
    """
    The lazily imported ones, too.
    """
    assert getattr(lashstore, name)

"""
Planning: which messages make a turn, and what a turn will commit.
"""

import json

from lashstore import ActiveTurnIngress, NextTurnIngress, TokenUsage
from lashstore.hosting.parcels import unpack
from lashstore.hosting.plan import build_plan
from lashstore.hosting.transcript import parse_transcript

LARGE = "line\n" * 2000


def plan_of(*messages):
    """
    Plan a conversation.
    """
    content = "\n".join(json.dumps(message) for message in messages)
    return build_plan(parse_transcript(content.encode(), "t.jsonl"))


def say(role, content="x", **more):
    """
    Make a message.
    """
    return {"role": role, "content": content, **more}


def call(call_id, name="look", arguments="{}"):
    """
    Make a tool call.
    """
    return {"id": call_id, "function": {"name": name, "arguments": arguments}}


def shape(plan):
    """
    Return each turn's roles and number of inputs.
    """
    return [
        ("".join(node.payload["role"][0] for node in turn.nodes), len(turn.drafts))
        for turn in plan.turns
    ]


def test_a_step_is_a_turn_with_its_inputs_and_tool_results():
    """
    What came before a step enters it; the tool results behind it are its own.
    """
    roles = ("system", "user", "assistant", "tool", "tool", "user", "assistant")

    assert [("suatt", 2), ("ua", 1)] == shape(plan_of(*map(say, roles)))


def test_trailing_messages_make_a_closing_turn():
    """
    Nothing that was said is dropped, and nothing is billed for it.
    """
    plan = plan_of(say("assistant"), say("user"), say("tool"))

    assert [("a", 0), ("ut", 2)] == shape(plan)
    assert () == plan.turns[1].usage


def test_steps_without_input_are_turns():
    """
    An agent may speak twice.
    """
    assert [("a", 0), ("a", 0)] == shape(plan_of(say("assistant"), say("assistant")))


def test_nodes_are_a_chain_with_derived_ids_and_times():
    """
    Ids and times come from positions, so that every run makes the same ones.
    """
    plan = plan_of(say("user"), say("assistant"), say("assistant"))
    nodes = [node for turn in plan.turns for node in turn.nodes]

    assert [
        ("node-000000", None, "2026-01-01T00:00:00Z"),
        ("node-000001", "node-000000", "2026-01-01T00:00:01Z"),
        ("node-000002", "node-000001", "2026-01-01T00:00:02Z"),
    ] == [(node.node_id, node.parent_node_id, node.timestamp) for node in nodes]


def test_ingress_of_inputs():
    """
    The first turn's inputs wait for it, a lone later one comes into its turn.
    """
    a, u = say("assistant"), say("user")
    plan = plan_of(u, a, u, a, u, u, a)

    assert [
        [NextTurnIngress()],
        [ActiveTurnIngress(turn_id="turn-000001")],
        [NextTurnIngress(), NextTurnIngress()],
    ] == [[draft.ingress for draft in turn.drafts] for turn in plan.turns]


def test_large_tool_output_becomes_a_parcel():
    """
    The node refers to it; what the tool said can be put back.
    """
    message = say("tool", LARGE)
    (turn,) = plan_of(say("assistant"), message).turns
    (parcel,) = turn.parcels

    assert LARGE.encode() == parcel.content
    assert (parcel.attachment_id,) == turn.attachment_ids()
    assert len(json.dumps(turn.nodes[1].payload)) < 1000
    assert message == unpack(
        turn.nodes[1].payload, {parcel.attachment_id: parcel.content}.__getitem__
    )


def test_large_parts_become_a_parcel():
    """
    A list of parts comes back as a list of parts.
    """
    message = say("tool", [{"type": "text", "text": LARGE}])
    (turn,) = plan_of(say("assistant"), message).turns
    (parcel,) = turn.parcels

    assert message == unpack(turn.nodes[1].payload, lambda _: parcel.content)


def test_only_tool_outputs_are_parcelled():
    """
    People's words stay in the graph; an observation in a user message is a
    tool's.
    """
    acted = say("assistant", action="ls -R")
    plan = plan_of(
        say("user", LARGE), acted, say("user", LARGE), say("assistant", LARGE)
    )

    assert [0, 1] == [len(turn.parcels) for turn in plan.turns]


def test_tool_state_follows_calls_and_outputs():
    """
    A call is entered when made, and again when it is answered.
    """
    plan = plan_of(
        say("assistant", tool_calls=[call("c1"), call("c2")]),
        say("tool", "one", tool_call_id="c2"),
        say("assistant", action="ls -l"),
        say("user", "two"),
    )
    first, second, closing = (turn.tool_changes for turn in plan.turns)

    assert ["000000:c1", "000000:c2"] == list(first)
    assert None is first["000000:c1"]["output"]
    assert "one" == first["000000:c2"]["output"]["excerpt"]
    assert ("ls", None) == (
        second["000002:action"]["name"],
        second["000002:action"]["output"],
    )
    assert "two" == closing["000002:action"]["output"]["excerpt"]


def test_usage_is_estimated_by_length():
    """
    A token per four bytes: fresh words as input, older ones from the cache.
    """
    plan = plan_of(
        say("user", "x" * 8),
        say("assistant", "x" * 5),
        say("user", "x" * 4),
        say("assistant", "é" * 6),
    )

    assert [
        TokenUsage(input_tokens=2, output_tokens=2),
        TokenUsage(input_tokens=3, output_tokens=3, cache_read_input_tokens=2),
    ] == [turn.usage[0].usage for turn in plan.turns]


def test_recorded_usage_is_kept():
    """
    Both spellings of providers are read, and the model is named.
    """
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    (turn,) = plan_of(say("assistant", usage=usage, model="m")).turns

    assert TokenUsage(input_tokens=7, output_tokens=3) == turn.usage[0].usage
    assert "m" == turn.usage[0].model

"""
The turns and batches that both sides of a comparison are given.
"""

import random

_TEXT = (
    "the agent reads file and writes result of tool call error timeout path model "
    "token session commit state value list name function return class import test "
    "build server request response data query index table column row cache lock"
)
_WORDS = _TEXT.split()


def text(dice, size):
    """
    Return words of a small vocabulary with numbers in between, about as
    compressible as tool output.
    """
    words, length = [], 0
    while length < size:
        word = (
            dice.choice(_WORDS) if dice.random() < 0.8 else f"{dice.getrandbits(32):x}"
        )
        words.append(word)
        length += len(word) + 1
    return " ".join(words)[:size]


def turn(number, expected, leaf, *, node_bytes=4_000, tool_state=None):
    """
    Return one turn: by default of 20 KB, two nodes of 4 KB each and a tool
    state of 12 KB.
    """
    dice = random.Random(number)
    first, second = f"t{number}-user", f"t{number}-assistant"
    return {
        "turn_id": f"turn-{number}",
        "expected": expected,
        "config": {
            "provider_id": "p",
            "model": {"id": "m", "limits": {"context": 200_000}},
        },
        "frame": "f",
        "frames": [{"frame_id": "f", "status": "active", "reason": "initial"}],
        "turn_state": {"turn_index": number},
        "tool_state": (
            {
                "generation": number,
                "tools": {
                    f"tool-{n}": {"output": text(dice, 1_200)} for n in range(10)
                },
            }
            if tool_state is None
            else tool_state
        ),
        "nodes": [
            _node(first, leaf, "user", text(dice, node_bytes)),
            _node(second, first, "assistant", text(dice, node_bytes)),
        ],
        "usage": [
            {
                "source": "turn",
                "model": "m",
                "usage": {
                    "input_tokens": 1_000,
                    "output_tokens": 200,
                    "cache_read_input_tokens": 50,
                    "cache_write_input_tokens": 5,
                    "reasoning_output_tokens": 20,
                },
            }
        ],
        "leaf": second,
    }


def _node(node_id, parent, role, content):
    return {
        "node_id": node_id,
        "parent_node_id": parent,
        "agent_frame_id": "f",
        "caused_by": None,
        "timestamp": "2026-01-01T00:00:00Z",
        "kind": "message",
        "payload": {"role": role, "content": content},
    }


def large_state(dice):
    """
    Return a state of 1 MB: 1,000 entries of about 1 KB.
    """
    return {f"entry-{n:04d}": {"output": text(dice, 1_000)} for n in range(1_000)}


def change_state(dice, state):
    """
    Return the state with 1 % of it changed: ten entries anywhere replaced.
    """
    changes = {
        f"entry-{n:04d}": {"output": text(dice, 1_000)}
        for n in dice.sample(range(1_000), 10)
    }
    return state | changes


def message(dice, number, size=1_000):
    """
    Return a chat message of about *size* bytes.
    """
    role = "assistant" if number % 2 else "user"
    return {"id": f"m{number}", "role": role, "content": text(dice, size)}

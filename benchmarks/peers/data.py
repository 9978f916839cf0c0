"""
What every driver stores: the same texts, made from the same seeds.
"""

import random

from benchmarks.workload import change_state, large_state, message, text

BODY = {"text": "x" * 480}


def turn_of(number):
    """
    Return a turn of 20 KB: two messages of 4 KB, a state of 12 KB.
    """
    dice = random.Random(number)
    state = {
        "generation": number,
        "tools": {f"tool-{n}": {"output": text(dice, 1_200)} for n in range(10)},
    }
    messages = [message(dice, 2 * number + offset, 4_000) for offset in range(2)]
    return messages, state


def messages_of(number):
    """
    Return the two messages of 1 KB of a growing conversation's turn.
    """
    dice = random.Random(number)
    return [message(dice, 2 * number + offset) for offset in range(2)]


def short_message(number):
    """
    Return a message of 200 bytes.
    """
    return {"id": f"m{number}", "role": "assistant", "content": "w" * 200}


class LargeState:
    """
    A state of 1 MB of which each turn changes 1 %.
    """

    def __init__(self) -> None:
        self._number = 0
        self.value = large_state(random.Random(0))

    def change(self) -> None:
        """
        Change 1 % of it.
        """
        self._number += 1
        self.value = change_state(random.Random(self._number), self.value)

"""
The demo's conversation: an agent that moves a small shop's prices from floats
to whole cents, module by module. Made by code, always the same.
"""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Message = dict[str, Any]

_MODULES = (
    "basket",
    "catalogue",
    "checkout",
    "discounts",
    "invoices",
    "refunds",
    "shipping",
    "taxes",
    "vouchers",
)
_VERBS = ("load", "store", "merge", "check", "round", "format", "apply", "revert")
_NOUNS = ("price", "amount", "total", "rate", "entry", "balance", "margin", "fee")


def demo_messages() -> Iterator[Message]:
    """
    Yield the conversation: 40 steps of an assistant, with a few words of the
    user's between them.
    """
    maker = _Maker(random.Random(2026))  # noqa: S311, it makes up words
    yield _say("system", "You are a careful engineer. Change one module at a time.")
    yield _say("user", "Our shop keeps prices as floats. Move them to whole cents.")
    yield from maker.step("I will look at what there is.", "list_files", path="shop")
    yield from maker.step("And at how it fares today.", "run_tests", path="tests")
    for number, module in enumerate(_MODULES):
        if number in (3, 6):
            yield _say("user", f"How far are you? Please take {module} next.")
        yield from _convert(maker, module)
    yield from maker.step(
        "All modules are done; the whole suite.", "run_tests", path="."
    )
    yield _say("assistant", "Every price is an int now, and all tests pass.")
    yield _say("user", "Thank you, that is all.")


def write_demo_transcript(path: Path) -> None:
    """
    Write the conversation as JSON Lines.
    """
    lines = (json.dumps(message, ensure_ascii=False) for message in demo_messages())
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _convert(maker: "_Maker", module: str) -> Iterator[Message]:
    path = f"shop/{module}.py"
    yield from maker.step(f"Next is {module}.", "read_file", path=path)
    yield from maker.step("Who calls it?", "search", pattern=f"{module}\\.")
    yield from maker.step(
        "The amounts become cents at the border.", "edit_file", path=path
    )
    yield from maker.step("Does it hold?", "run_tests", path=f"tests/test_{module}.py")


def _say(role: str, content: str) -> Message:
    return {"role": role, "content": content}


class _Maker:
    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._calls = 0

    def step(self, words: str, tool: str, **arguments: str) -> Iterator[Message]:
        self._calls += 1
        call_id = f"call_{self._calls:03d}"
        function = {"name": tool, "arguments": json.dumps(arguments)}
        call = {"id": call_id, "type": "function", "function": function}
        yield _say("assistant", words) | {"tool_calls": [call]}
        output = getattr(self, f"_{tool}")(*arguments.values())
        yield _say("tool", output) | {"tool_call_id": call_id}

    def _list_files(self, path: str) -> str:
        return "\n".join(f"{path}/{module}.py" for module in _MODULES)

    def _read_file(self, path: str) -> str:
        functions = self._rng.randint(20, 120)
        return f"# {path}\n" + "\n".join(self._function() for _ in range(functions))

    def _search(self, pattern: str) -> str:
        found = self._rng.sample(_MODULES, self._rng.randint(2, 5))
        return "\n".join(
            f"shop/{module}.py:{self._rng.randint(1, 400)}: {pattern} {self._name()}"
            for module in found
        )

    def _edit_file(self, path: str) -> str:
        return f"{path}: {self._rng.randint(4, 60)} lines changed"

    def _run_tests(self, path: str) -> str:
        count = self._rng.randint(5, 150)
        lines = [f"{path}::test_{self._name()} ok" for _ in range(count)]
        return "\n".join([*lines, f"{count} passed"])

    def _name(self) -> str:
        return f"{self._rng.choice(_VERBS)}_{self._rng.choice(_NOUNS)}"

    def _function(self) -> str:
        name, factor = self._name(), self._rng.randint(2, 99)
        return (
            f"def {name}(amount: float) -> float:\n"
            f"    return round(amount * {factor} / 100, 2)\n"
        )

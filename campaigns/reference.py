"""
The same script on stores that nobody kills: what a killed one must look like.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lashstore import StoreOptions
from lashstore.engines.postgres import ServerDatabase
from lashstore.engines.sqlite import SqliteDatabase

from . import tokens
from .host import OPTIONS, Host, quick
from .places import Files, Rows
from .script import take_step


@dataclass
class State:
    """
    What the stores hold at some moment.
    """

    when: str
    call: str
    rows: Rows
    content: dict[str, bytes]


@contextmanager
def watching_commits(look: Callable[[], None]) -> Iterator[None]:
    """
    Call *look* after each commit in this process.
    """
    original: Any = SqliteDatabase._commit_write
    on_server: Any = ServerDatabase._retried

    def retried(self: ServerDatabase, *arguments: Any, **options: Any) -> Any:
        answer = on_server(self, *arguments, **options)
        if options.get("is_write"):
            look()
        return answer

    def watched(self: SqliteDatabase, held: Any) -> None:
        original(self, held)
        look()

    SqliteDatabase._commit_write = watched  # type: ignore[method-assign]
    ServerDatabase._retried = retried  # type: ignore[method-assign]
    try:
        yield
    finally:
        SqliteDatabase._commit_write = original  # type: ignore[method-assign]
        ServerDatabase._retried = on_server  # type: ignore[method-assign]


class Reference:
    """
    Stores that follow the killed ones' history, life by life.
    """

    def __init__(
        self, folder: Path, seed: int, options: StoreOptions = OPTIONS
    ) -> None:
        self._place = Files(folder)
        self._seed = seed
        self._options = quick(options)
        self._content: dict[str, bytes] = {}

    def states(
        self, life: int, first_step: int, acknowledged: list[Any], *, in_doubt: bool
    ) -> tuple[list[State], list[str]]:
        """
        Play a life as far as it may have come.

        Args:
            acknowledged: What the killed host told of each step, its opening
                first; it must be told the same here.

            in_doubt: Whether one more step was begun.

        Returns:
            Every state the killed stores may be in, and where the answers
            differ.
        """
        self._place.restore(self._content)
        states: list[State] = []
        differing: list[str] = []
        steps = iter(range(first_step, first_step + len(acknowledged)))
        if not acknowledged:
            self._record(states, "before opening")
            if in_doubt:
                with watching_commits(lambda: self._record(states, "opening")):
                    self._opened(life).close()
                self._record(states, "opened")
            return states, differing
        host = self._opened(life)
        for told in acknowledged[1:]:
            answer = take_step(host, self._seed, next(steps))
            if answer != told:
                differing.append(f"answered {told}, and not {answer}")
        self._record(states, "before")
        if in_doubt:
            with watching_commits(lambda: self._record(states, "between")):
                name, _, _ = take_step(host, self._seed, next(steps))
            self._record(states, "after", name)
        host.close()
        return states, differing

    def _opened(self, life: int) -> Host:
        tokens.restart(f"{self._seed}:{life}:open")
        return Host(self._place, life=life, options=self._options)

    def _record(self, states: list[State], when: str, call: str = "") -> None:
        states.append(State(when, call, self._place.rows(), self._place.save()))

    def follow(self, state: State) -> None:
        """
        Go on from one of the states.
        """
        self._content = state.content

"""
The damage campaign: bytes of files and WALs and cells of rows are changed,
and everything is read.

    python -m campaigns damage --cases 1000 --seed 1
"""

import contextlib
import shutil
import sqlite3
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from lashstore import (
    LashStoreError,
    ManualClock,
    PersistedSession,
    ProcessListFilter,
    ProcessRecord,
    ProcessRegistry,
    ProcessStatusFilter,
    SessionPickerInfo,
    StoreOptions,
    TriggerStore,
)

from . import tokens
from .command import run_campaign
from .host import OPTIONS, START_MS
from .places import ROOT, Files, fast_folder, scratch
from .report import Report
from .scene import Scene

sys.path.insert(0, str(ROOT / "tests"))

from damage import rich, test_bytes, test_cells

Damage = Callable[[Random, bytearray], None]

_WAL_HEADER, _FRAME_HEADER = 32, 24
_WAL_DAMAGES: tuple[Damage, ...] = (
    test_bytes._flip_one,
    test_bytes._flip_some,
    test_bytes._truncate,
    test_bytes._lose_page,
)


def damage_files(report: Report, folder: Path, cases: int) -> None:
    """
    Damage the bytes of a whole session.
    """
    path = folder / rich.PATH_NAME
    rich.build(path)
    copy = folder / "sound.db"
    shutil.copy(path, copy)
    sound = rich.read_everything(copy)
    for damage in test_bytes.DAMAGES:
        for number in range(cases):
            seed = report.seed * 1_000_000 + number
            report.break_down("damages", f"file: {_name(damage)}")
            report.counts["cases"] += 1
            where = f"file, {_name(damage)} {seed}"
            content = bytearray(path.read_bytes())
            damage(Random(seed), content)
            damaged = folder / f"{seed}.db"
            damaged.write_bytes(content)
            _judge_file(report, where, damaged, sound)
            for left in folder.glob(f"{seed}.db*"):
                left.unlink()


def _judge_file(report: Report, where: str, path: Path, sound: dict[str, Any]) -> None:
    try:
        answers = rich.read_everything(path, rich.reads())
    except Exception as error:
        report.violate(f"{where}: {error!r:.200} escaped")
        return
    for name, answer in answers.items():
        if isinstance(answer, LashStoreError):
            report.break_down("answers", "typed errors")
        elif answer == sound[name]:
            report.break_down("answers", "original data")
        elif test_bytes._is_less(answer, sound[name]) or _hides_rows(
            answer, sound[name]
        ):
            report.break_down("answers", "rows hidden whole (D24)")
        else:
            report.violate(f"{where}: {name} answers {answer!r:.300}")


def _hides_rows(answer: Any, expected: Any) -> bool:
    # A leaf may be buried and removed, so a path without one is no damage
    # that could be seen; nor is a session without a head.
    if isinstance(answer, PersistedSession):
        path: Any = msgspec.structs.replace(
            answer,
            graph=msgspec.structs.replace(answer.graph, nodes=expected.graph.nodes),
        )
        return not answer.graph.nodes and path == expected
    if isinstance(answer, SessionPickerInfo):
        unseen = msgspec.structs.replace(
            expected, first_user_message="", user_message_count=0
        )
        return bool(answer == unseen)
    return False


def _name(damage: Any) -> str:
    return str(damage.__name__).strip("_").replace("_", " ")


def damage_wals(report: Report, folder: Path, cases: int) -> None:
    """
    Damage the bytes of a WAL that holds all of a session.

    SQLite ends a WAL where a frame is damaged. So the answers must be those
    of some commit, of one and the same for all questions (D24).
    """
    made = folder / "made" / rich.PATH_NAME
    made.parent.mkdir()
    with _kept_open(made):
        rich.build(made)
        whole = {
            suffix: Path(f"{made}{suffix}").read_bytes() for suffix in ("", "-wal")
        }
    wal = whole["-wal"]
    ends = _commit_ends(wal)
    sound = [
        _answers(folder / f"sound-{n}.db", whole[""], wal[:end])
        for n, end in enumerate(ends)
    ]
    report.counts["commits in the WAL"] = len(ends) - 1
    for damage in _WAL_DAMAGES:
        for number in range(cases):
            dice = Random(f"{report.seed}:{number}")
            content = bytearray(wal)
            damage(dice, content)
            report.counts["cases"] += 1
            report.break_down("damages", f"WAL: {_name(damage)}")
            where = f"WAL, {_name(damage)} {number}"
            _judge_wal(report, where, sound, folder, (whole[""], bytes(content)))


def _judge_wal(
    report: Report, where: str, sound: list[Any], folder: Path, content: Any
) -> None:
    try:
        answers = _answers(folder / "wal.db", *content)
    except Exception as error:
        report.violate(f"{where}: {error!r:.200} escaped")
        return
    fitting = [
        number
        for number, wanted in enumerate(sound)
        if all(
            isinstance(answer, LashStoreError) or answer == wanted[name]
            for name, answer in answers.items()
        )
    ]
    if not fitting:
        report.violate(f"{where}: the answers are of no commit")
    elif any(isinstance(answer, LashStoreError) for answer in answers.values()):
        report.break_down("WAL ends", "in a typed error")
    elif fitting[-1] == len(sound) - 1:
        report.break_down("WAL ends", "in the whole content")
    else:
        report.break_down("WAL ends", "at an earlier commit")


@contextlib.contextmanager
def _kept_open(path: Path) -> Any:
    # The last connection to close would copy the WAL into the file.
    rich.open_rich(path).close()
    with contextlib.closing(sqlite3.connect(path, timeout=15)) as keeper:
        keeper.execute("SELECT count(*) FROM sqlite_master").fetchone()
        yield


def _commit_ends(wal: bytes) -> list[int]:
    (page,) = struct.unpack(">I", wal[8:12])
    ends = [0]
    at = _WAL_HEADER
    while at + _FRAME_HEADER + page <= len(wal):
        (size,) = struct.unpack(">I", wal[at + 4 : at + 8])
        at += _FRAME_HEADER + page
        if size:
            ends.append(at)
    return ends


def _answers(path: Path, content: bytes, wal: bytes) -> Any:
    for suffix in ("-shm", "-wal", ""):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    path.write_bytes(content)
    if wal:
        Path(f"{path}-wal").write_bytes(wal)
    return rich.read_everything(path, rich.reads())


def damage_cells(report: Report, folder: Path, rows: int) -> None:
    """
    Damage cells by SQL, past all constraints.
    """
    path = folder / "cells.db"
    rich.build(path)
    copy = folder / "cells-sound.db"
    shutil.copy(path, copy)
    sound = rich.read_everything(copy)
    for table in test_cells.TABLES:
        if table not in test_cells.UNCHECKED_TABLES:
            tried, failures = test_cells._try_cells(
                path, sound, folder, table, rows_per_column=rows
            )
            report.counts["cases"] += tried
            report.break_down("damages", "cells", tried)
            report.violate(*failures)


def damage_deployment(report: Report, folder: Path, cases: int) -> None:
    """
    Damage the bytes of the file that processes, triggers and effects share.
    """
    tokens.install()
    scene = Scene(Files(folder / "scene"), OPTIONS)
    content = scene.content["deployment.db"]
    copy = folder / "deployment.db"
    copy.write_bytes(content)
    sound = _deployment_answers(copy)
    for damage in test_bytes.DAMAGES:
        for number in range(cases):
            dice = Random(f"{report.seed}:{number}")
            damaged = bytearray(content)
            damage(dice, damaged)
            path = folder / f"deployment-{number}.db"
            path.write_bytes(damaged)
            report.counts["cases"] += 1
            report.break_down("damages", f"deployment: {_name(damage)}")
            where = f"deployment, {_name(damage)} {number}"
            _judge_deployment(report, where, path, sound)
            for left in folder.glob(f"{path.name}*"):
                left.unlink()


def _judge_deployment(
    report: Report, where: str, path: Path, sound: dict[str, Any]
) -> None:
    try:
        answers = _deployment_answers(path)
    except Exception as error:
        report.violate(f"{where}: {error!r:.200} escaped")
        return
    for name, answer in answers.items():
        if isinstance(answer, LashStoreError):
            continue
        if _without_targets(answer) != _without_targets(sound[name]) and (
            not test_bytes._is_less(
                _without_targets(answer), _without_targets(sound[name])
            )
        ):
            report.violate(f"{where}: {name} answers {answer!r:.300}")


def _without_targets(answer: Any) -> Any:
    # A wake target has a row of its own, and that it vanished whole is among
    # what no local check sees (D24).
    if isinstance(answer, ProcessRecord):
        return msgspec.structs.replace(answer, wake_target=None)
    if isinstance(answer, tuple):
        return tuple(map(_without_targets, answer))
    return answer


def _deployment_answers(path: Path) -> dict[str, Any]:
    clock = ManualClock(START_MS)
    options = StoreOptions()
    everything = ProcessListFilter(status=ProcessStatusFilter.ANY)
    answers: dict[str, Any] = {}

    def ask(name: str, question: Callable[[], Any]) -> None:
        try:
            answers[name] = question()
        except LashStoreError as error:
            answers[name] = error

    try:
        with ProcessRegistry.open(path, clock=clock, options=options) as registry:
            ask("processes", lambda: registry.list_processes(everything))
            ask("wakes", registry.pending_wake_deliveries)
            for number in range(1, 80):
                name = f"p0.{number}"
                ask(f"{name} record", lambda n=name: registry.get_process(n))
                ask(f"{name} log", lambda n=name: _log_of(registry, n))
        with TriggerStore.open(path, clock=clock, options=options) as triggers:
            ask("subscriptions", triggers.list_subscriptions)
            ask("deliveries", triggers.pending_deliveries)
    except LashStoreError as error:
        answers["open"] = error
    return answers


def _log_of(registry: ProcessRegistry, name: str) -> Any:
    return (
        None if registry.get_process(name) is None else registry.events_after(name, 0)
    )


def run(cases: int, seed: int) -> Report:
    """
    Do so many cases of each kind of damage.
    """
    report = Report("damage", engine="sqlite", seed=seed)
    rows = 10**6 if cases >= 100 else 1
    with scratch("damage", fast_folder()) as folder:
        for part, number in (
            (damage_files, cases),
            (damage_wals, cases),
            (damage_cells, rows),
            (damage_deployment, cases),
        ):
            own = folder / part.__name__
            own.mkdir()
            part(report, own, number)
    return report.end()


def main() -> None:
    """
    Run from the command line.
    """
    run_campaign(
        __doc__ or "",
        lambda options: [run(options.cases, options.seed)],
        cases=(int, 600, "how often to do each kind of damage"),
    )

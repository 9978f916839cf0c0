"""
`lashstore demo`: kill a replay five times, compare what came of it, and count
how often its tools ran.
"""

import itertools
import random
import secrets
import tempfile
from pathlib import Path

import click
from rich.console import Console

from lashstore import SessionStoreFactory
from lashstore.hosting.audit import (
    RecordedRuns,
    RunAudit,
    audit_run,
    count_recorded_runs,
)
from lashstore.hosting.errors import HostingError
from lashstore.hosting.kills import ReplayChild, count_pauses
from lashstore.hosting.picture import SessionPicture, differences, take_picture
from lashstore.hosting.plan import ReplayPlan, build_plan
from lashstore.hosting.runner import run_plan
from lashstore.hosting.transcript import read_transcript

from .demo_transcript import write_demo_transcript
from .folder import FOLDER, refuse_url
from .summary import summary_lines
from .tree_drawing import draw_tree

KILL_COUNT = 5
KILLED, UNBROKEN = "demo-killed", "demo-unbroken"
# How long the slowed replay sleeps in all: long enough to be hit five times.
_SLEEP_S = 2.5


@click.command()
@click.option(
    "--root",
    type=FOLDER,
    callback=refuse_url,
    help="Folder to work in; default: a new one.",
)
@click.option("--seed", type=int, help="Seed of the kill moments; default: random.")
def demo(root: Path | None, seed: int | None) -> None:
    """
    Kill a session five times with SIGKILL and show that nothing is lost.
    """
    if root is None:
        root = Path(tempfile.mkdtemp(prefix="lashstore-demo-"))
    if seed is None:
        seed = secrets.randbelow(1_000_000)
    _run(Console(highlight=False), root, seed)


def _run(console: Console, root: Path, seed: int) -> None:
    transcript = root / "demo-transcript.jsonl"
    _refuse_used(root)
    root.mkdir(parents=True, exist_ok=True)
    write_demo_transcript(transcript)
    plan = build_plan(read_transcript(transcript))
    console.print(
        f"A conversation of {len(plan.messages)} messages and {len(plan.turns)} turns, "
        f"killed {KILL_COUNT} times (--seed {seed})."
    )
    seen = _replay_with_kills(console, plan, transcript, root, seed)
    console.print("The same conversation, unbroken, as a second session.")
    run_plan(plan, root, UNBROKEN)
    killed = take_picture(plan, root, KILLED)
    _check(console, plan, killed, take_picture(plan, root, UNBROKEN))
    _check_audit(console, audit_run(plan, root, KILLED, seen=seen))
    _show(console, killed)


def _refuse_used(root: Path) -> None:
    if root.exists() and any(root.iterdir()):
        msg = f"{root} is not empty; the demo wants a folder of its own"
        raise HostingError(msg)


def _replay_with_kills(
    console: Console, plan: ReplayPlan, transcript: Path, root: Path, seed: int
) -> list[RecordedRuns]:
    seen: list[RecordedRuns] = []
    rng = random.Random(seed)  # noqa: S311, it draws moments
    pause_s = _SLEEP_S / sum(count_pauses(plan))
    # Moments in the life of the session, in order; a run is what lies between.
    moments = sorted(rng.uniform(0, 0.85 * _SLEEP_S) for _ in range(KILL_COUNT))
    runs = itertools.pairwise([0.0, *moments])
    for number, (before, moment) in enumerate(runs, start=1):
        child = ReplayChild(transcript, root, KILLED, pause_s=pause_s)
        child.wait_until_ready()
        if not child.kill_after(moment - before):
            console.print(f"  run {number} came to the end before its kill.")
            return seen
        seen.append(count_recorded_runs(plan, root, KILLED))
        console.print(
            f"  run {number}: SIGKILL after {moment - before:.3f} s, "
            f"{_describe(plan, root)}"
        )
    child = ReplayChild(transcript, root, KILLED, pause_s=0)
    child.finish()
    console.print(f"  run {KILL_COUNT + 1}: to the end.")
    return seen


def _describe(plan: ReplayPlan, root: Path) -> str:
    with SessionStoreFactory(root) as factory:
        store = factory.open_existing_store(KILLED)
        if store is None:
            return "before the session was there"
        with store:
            head = store.load_session_head_meta()
    done = 0 if head is None else head.head_revision
    return f"with {done} of {len(plan.turns)} turns committed"


def _check(
    console: Console,
    plan: ReplayPlan,
    killed: SessionPicture,
    unbroken: SessionPicture,
) -> None:
    wrong = list(differences(killed, unbroken))
    wrong += ["transcript"] * (killed.messages() != plan.messages)
    wrong += ["number of turns"] * (len(killed.turns) != len(plan.turns))
    if wrong:
        msg = f"the killed session differs in: {', '.join(wrong)} ({killed.place})"
        raise HostingError(msg)
    console.print(
        f"Equal: {len(killed.session.graph.nodes)} nodes, the leaf, the ledger of "
        f"{killed.total_tokens():,} tokens, {len(killed.turns)} turn results, "
        f"{len(killed.attachments)} attachments; and the transcript, word for word."
    )


def _check_audit(console: Console, audit: RunAudit) -> None:
    cut_off = audit.execution_count - audit.effect_count - audit.repeated_count
    console.print(
        f"Tools: {audit.effect_count} effects recorded, {audit.execution_count} "
        f"executions ({cut_off} cut off before anything was recorded), repeated "
        f"after recorded: {audit.repeated_count}."
    )
    console.print(
        f"Background: {audit.wake_count} wakes delivered, the process is "
        f"{audit.process_state}."
    )
    if audit.complaints:
        msg = f"the killed session's audit failed: {'; '.join(audit.complaints)}"
        raise HostingError(msg)
    console.print("A strict replay of every effect ran no tool.")


def _show(console: Console, picture: SessionPicture) -> None:
    console.print()
    console.print(draw_tree(picture.session.graph, f"session {KILLED}"))
    console.print()
    for line in summary_lines(picture):
        console.print(line, soft_wrap=True, markup=False)
    query = (
        "SELECT seq, node_id, substr(json_extract(node_json, '$.payload.role'), 1, 9), "
        "length(node_json) FROM session_nodes ORDER BY seq"
    )
    console.print("\nLook at it:", markup=False)
    console.print(
        f'  sqlite3 "{picture.place}" "{query}"', soft_wrap=True, markup=False
    )

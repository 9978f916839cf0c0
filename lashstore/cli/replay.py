"""
`lashstore replay`: run a recorded conversation as a host would.
"""

from pathlib import Path

import click

from lashstore import LeaseTimings
from lashstore.hosting.kills import PAUSE_VARIABLE
from lashstore.hosting.picture import take_picture
from lashstore.hosting.plan import build_plan
from lashstore.hosting.runner import RunOptions, run_plan
from lashstore.hosting.transcript import read_transcript

from .folder import Root
from .progress import show_progress
from .summary import summary_lines


@click.command()
@click.argument("transcript", type=click.Path(path_type=Path))
@click.option(
    "--root",
    required=True,
    type=Root(),
    metavar="FOLDER|URL",
    help="Folder of the sessions, or address of a PostgreSQL database.",
)
@click.option("--session", "session_id", required=True, help="Id of the session.")
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(min=0, max=86_400),
    default=45.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait while another host runs the session.",
)
@click.option(
    "--lease-ttl-ms",
    type=click.IntRange(min=30, max=86_400_000),
    default=30_000,
    show_default=True,
    help="How long the session stays reserved without a sign of life.",
)
@click.option("--quiet", is_flag=True, help="Show no progress.")
@click.option(
    "--pause-ms",
    type=click.FloatRange(min=0, max=60_000),
    default=0.0,
    envvar=PAUSE_VARIABLE,
    hidden=True,
)
def replay(
    transcript: Path,
    root: str | Path,
    session_id: str,
    wait_s: float,
    lease_ttl_ms: int,
    pause_ms: float,
    *,
    quiet: bool,
) -> None:
    """
    Run the recorded conversation in TRANSCRIPT as an agent host would.

    TRANSCRIPT is a JSON object whose "history" lists chat messages, or JSON
    Lines with one message a line. Each assistant step becomes a turn and
    lands as one commit. Kill it at any moment and run it again: it goes on
    where it was, and starts no tool again whose outcome was recorded. Tokens
    are estimated at one per four bytes where the transcript has no "usage".

    On postgresql+psycopg://user@host/database (?schema=NAME) everything is in
    the database, so that any host may go on.
    """
    plan = build_plan(read_transcript(transcript))
    options = RunOptions(
        timings=LeaseTimings.from_ttl(lease_ttl_ms),
        wait_s=wait_s,
        pause_s=pause_ms / 1000,
    )
    with show_progress(len(plan.turns), is_quiet=quiet) as events:
        has_run = run_plan(plan, root, session_id, options=options, events=events)
    picture = take_picture(plan, root, session_id)
    if not has_run:
        click.echo(
            f"Session {session_id!r} already holds all of {transcript.name}; "
            "nothing was changed."
        )
    for line in summary_lines(picture):
        click.echo(line)

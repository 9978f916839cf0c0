"""
`lashstore processes`: work in the background, and one process in detail.
"""

from collections.abc import Iterator
from pathlib import Path

import click

from lashstore.model.processes import ProcessStatusFilter
from lashstore.tables import PROCESS_COMPONENT
from lashstore.tools.process_views import (
    ProcessDetail,
    ProcessView,
    list_processes,
    show_process,
)
from lashstore.tools.reading import open_component

from .listing import shown_hold, shown_json, tell
from .reading import (
    after_option,
    json_option,
    limit_option,
    print_facts,
    print_table,
    shown_time,
    target_argument,
)

_COLUMNS = {
    "process": "left",
    "status": "left",
    "kind": "left",
    "lease": "left",
    "waits for": "left",
    "events": "right",
    "last event": "left",
    "at": "left",
}
_EVENT_COLUMNS = {"seq": "right", "at": "left", "event": "left", "payload": "words"}


@click.command()
@target_argument("target")
@click.argument("process_id", required=False)
@click.option(
    "--status",
    type=click.Choice([str(each) for each in ProcessStatusFilter]),
    default=str(ProcessStatusFilter.ANY),
    show_default=True,
    help="Only those that stand so.",
)
@click.option("--waiting", "is_waiting", is_flag=True, help="Only those that wait.")
@limit_option(50)
@after_option("id")
@json_option
def processes(
    target: Path | str,
    process_id: str | None,
    status: str,
    limit: int,
    after: str | None,
    *,
    is_waiting: bool,
    is_json: bool,
) -> None:
    r"""
    List background processes by id; or show the one called PROCESS_ID with
    its last events, or those behind the one that --after numbers.

    TARGET is the file of the processes, a folder with a processes.db, or the
    address of a PostgreSQL database. Nothing is created or written, and hosts
    may go on.

    A process is "running", and may wait meanwhile, or has ended: "completed",
    "failed", "cancelled", "abandoned". Exit code 0: all rows are sound; 1: one
    is damaged, or they cannot be read; 2: the command was used wrongly.

    \b
    Examples:
      lashstore processes sessions/ --status running
      lashstore processes processes.db --waiting --json
      lashstore processes sessions/ proc-7 --limit 5
      lashstore processes 'postgresql+psycopg://host/database' proc-7 --after 120
    """
    if process_id is not None and (is_waiting or status != ProcessStatusFilter.ANY):
        msg = "--status and --waiting are for lists, not for one process"
        raise click.UsageError(msg)
    with open_component(target, PROCESS_COMPONENT) as reader:
        if process_id is not None:
            detail = show_process(reader, process_id, after=after, limit=limit)
            if not is_json:
                _print_detail(detail)
            tell(detail, is_json=is_json)
            return
        page = list_processes(
            reader,
            status=ProcessStatusFilter(status),
            is_waiting=is_waiting,
            after=after,
            limit=limit,
        )
    if not is_json:
        print_table(_COLUMNS, map(_cells, page.processes), next_after=page.next_after)
    tell(page, is_json=is_json)


def _cells(each: ProcessView) -> tuple[str, ...]:
    last = each.last_event
    return (
        each.process_id,
        each.status,
        _kind(each),
        shown_hold(each.lease),
        _wait(each),
        str(each.event_count),
        "-" if last is None else last.event_type,
        shown_time(each.updated_at_ms if last is None else last.occurred_at_ms),
    )


def _kind(each: ProcessView) -> str:
    return each.kind if each.label is None else f"{each.kind} ({each.label})"


def _wait(each: ProcessView) -> str:
    if each.wait is None:
        return "-"
    return f"{each.wait.kind.name} since {shown_time(each.wait.since_ms)}"


def _print_detail(detail: ProcessDetail) -> None:
    facts = {"process": detail.process_id}
    if detail.process is None:
        facts["status"] = "unknown: its row is damaged"
    else:
        facts |= dict(_facts(detail.process, detail))
    print_facts(facts)
    click.echo()
    rows = (
        (
            str(event.sequence),
            shown_time(event.occurred_at_ms),
            event.event_type,
            shown_json(event.payload),
        )
        for event in detail.events
    )
    print_table(_EVENT_COLUMNS, rows, next_after=detail.next_after)


def _facts(each: ProcessView, detail: ProcessDetail) -> Iterator[tuple[str, str]]:
    yield "status", each.status
    if each.ended_at_ms is not None:
        yield "outcome", shown_json(detail.record["status"].get("await_output"))
    yield "kind", _kind(each)
    yield "disposition", each.disposition
    yield "input", shown_json(detail.record["input"])
    yield "started by", shown_json(each.originator)
    yield "wakes", "-" if each.wake_target is None else each.wake_target.scope_id
    yield "created", shown_time(each.created_at_ms)
    yield "first run", shown_time(each.started_at_ms)
    yield "updated", shown_time(each.updated_at_ms)
    yield "ended", shown_time(each.ended_at_ms)
    yield "waits for", _wait(each)
    yield "lease", shown_hold(each.lease)
    if each.abandon_request is not None:
        request = each.abandon_request
        reason = "" if request.reason is None else f": {request.reason}"
        yield "to be abandoned", f"says {request.requested_by}{reason}"
    if each.external_ref is not None:
        yield "runs as", f"{each.external_ref.id} of {each.external_ref.backend}"
    yield "granted to", ", ".join(grant.session_id for grant in detail.grants) or "-"
    wakes = ", ".join(f"event {wake['sequence']}" for wake in detail.wakes)
    yield "unacknowledged wakes", wakes or "-"
    yield "events", str(each.event_count)

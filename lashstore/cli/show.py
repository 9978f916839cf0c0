"""
`lashstore show`: one session at a glance.
"""

from pathlib import Path

import click

from lashstore.tools.session_reports import (
    LeaseReport,
    SessionReport,
    report_session,
)
from lashstore.tools.usage_reports import total_of

from .reading import (
    json_option,
    open_one,
    print_facts,
    print_json,
    session_option,
    shown_bytes,
    shown_time,
    target_argument,
)
from .words import role_of, words_of

_WORDS = 100


@click.command()
@target_argument("target")
@session_option
@click.option(
    "--last",
    type=click.IntRange(min=0, max=1_000),
    default=5,
    show_default=True,
    metavar="N",
    help="How many of the active path's last nodes to show.",
)
@json_option
def show(
    target: Path | str, session_id: str | None, last: int, *, is_json: bool
) -> None:
    r"""
    Show a session of TARGET: its metadata, head, lease, counts, tokens, size
    and the last messages of the active path.

    TARGET is its file; or a folder of sessions or the address of a PostgreSQL
    database, and then --session says which. It is only read, and hosts may go
    on writing. Exit code 0: done; 1: the session cannot be read; 2: the
    command was used wrongly.

    \b
    Examples:
      lashstore show sessions/ --session chat
      lashstore show chat.db --last 20
      lashstore show sessions/ -s chat --json | jq .lease
    """
    with open_one(target, session_id) as reader:
        report = report_session(reader, last=last)
    if is_json:
        print_json(report)
    else:
        print_facts(_facts(report))
        _print_last(report)


def _facts(report: SessionReport) -> dict[str, str]:
    seen, counts = report.overview, report.counts
    facts = {"session": seen.session_id, "place": seen.place}
    if seen.is_sealed:
        facts["sealed"] = "yes: its content is for hosts that have its cipher"
    if report.meta is not None:
        facts |= {
            "name": report.meta.session_name,
            "model": report.meta.model or "-",
            "folder": report.meta.cwd or "-",
            "parent": report.meta.parent_session_id or "-",
            "created": shown_time(seen.created_at_ms),
        }
    total = total_of(report.usage)
    tombstones = f" and {counts.tombstones} tombstones" if counts.tombstones else ""
    facts |= {
        "changed": shown_time(seen.changed_at_ms),
        "revision": f"{seen.head_revision} ({counts.stamped_commits} stamped)",
        "nodes": f"{seen.node_count}, {seen.user_message_count} of the user's"
        + tombstones,
    }
    if report.head is not None:
        facts |= {
            "leaf": report.head.leaf_node_id or "-",
            "frame": report.head.current_agent_frame_id or "-",
            "checkpoint": report.head.checkpoint_ref or "-",
        }
    return facts | {
        "lease": _lease_words(report.lease),
        "waiting": f"{counts.queued_batches} batches, {counts.open_inputs} inputs",
        "blobs": f"{counts.blobs}, {counts.artifacts} artifacts",
        "attachments": f"{counts.committed_attachments} committed, "
        f"{counts.announced_attachments} announced",
        "tokens": f"{total.total():,} ({total.input_tokens:,} input, "
        f"{total.cache_read_input_tokens:,} from cache, "
        f"{total.output_tokens:,} output)",
        "size": shown_bytes(seen.stored_bytes),
    }


def _lease_words(lease: LeaseReport | None) -> str:
    if lease is None:
        return "never held"
    fence = f"fence {lease.fencing_token}"
    if lease.owner is None:
        return f"free ({fence})"
    until = f"{lease.owner.owner_id} until {shown_time(lease.expires_at_ms)} ({fence})"
    if lease.is_holder_dead:
        return f"held by {until}, whose process is gone"
    return f"held by {until}" if lease.is_live else f"expired: {until}"


def _print_last(report: SessionReport) -> None:
    if not report.last_nodes:
        return
    click.echo(f"\nThe last {len(report.last_nodes)} nodes of the active path:")
    for node in report.last_nodes:
        click.echo(f"  {role_of(node):<9}  {words_of(node, _WORDS)}")

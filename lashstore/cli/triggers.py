"""
`lashstore triggers`: who waits for what, what happened, what is pending.
"""

from pathlib import Path
from typing import Any

import click

from lashstore.model.processes import HostOriginator
from lashstore.model.triggers import TriggerSubscriptionRecord
from lashstore.tables import TRIGGER_COMPONENT
from lashstore.tools.reading import open_component
from lashstore.tools.trigger_views import (
    DeliveryView,
    OccurrenceView,
    list_occurrences,
    list_pending,
    list_subscriptions,
)

from .listing import CHARS, shown_json, tell
from .reading import (
    after_option,
    json_option,
    limit_option,
    print_table,
    shown_time,
    target_argument,
)
from .words import shortened

_SUBSCRIPTIONS = {
    "subscription": "left",
    "enabled": "left",
    "registrant": "left",
    "name": "left",
    "source": "left",
    "source key": "left",
    "starts": "left",
    "wakes": "left",
    "registered": "left",
}
_OCCURRENCES = {
    "occurrence": "left",
    "at": "left",
    "source": "left",
    "source key": "left",
    "idempotency key": "left",
    "payload": "words",
    "met": "right",
    "pending": "right",
    "errors": "right",
}
_PENDING = {
    "seq": "right",
    "since": "left",
    "subscription": "left",
    "starts process": "left",
    "source": "left",
    "payload": "words",
    "payload error": "left",
}


@click.command()
@target_argument("target")
@click.option(
    "--show",
    "what",
    type=click.Choice(["subscriptions", "occurrences", "pending"]),
    default="subscriptions",
    show_default=True,
    help="What to list.",
)
@limit_option(50)
@after_option("id")
@json_option
def triggers(
    target: Path | str, what: str, limit: int, after: str | None, *, is_json: bool
) -> None:
    r"""
    List trigger subscriptions; or occurrences, the latest first, each with
    how many subscriptions it met; or deliveries that nobody has acknowledged
    yet, the oldest first.

    TARGET is the file of the triggers, a folder with a triggers.db, or the
    address of a PostgreSQL database. Nothing is created or written, and hosts
    may go on. Exit code 0: all rows are sound; 1: one is damaged, or they
    cannot be read; 2: the command was used wrongly.

    \b
    Examples:
      lashstore triggers sessions/
      lashstore triggers sessions/ --show pending --json
      lashstore triggers triggers.db --show occurrences --limit 10
      lashstore triggers 'postgresql+psycopg://host/database' --after subscription:50
    """
    # What each list reads, its columns, and which member of the page it is.
    lists: Any = {
        "subscriptions": (list_subscriptions, _SUBSCRIPTIONS, _subscription),
        "occurrences": (list_occurrences, _OCCURRENCES, _occurrence),
        "pending": (list_pending, _PENDING, _delivery),
    }
    read, columns, cells = lists[what]
    with open_component(target, TRIGGER_COMPONENT) as reader:
        page = read(reader, after=after, limit=limit)
    if not is_json:
        rows = getattr(page, "deliveries" if what == "pending" else what)
        print_table(columns, map(cells, rows), next_after=page.next_after)
    tell(page, is_json=is_json)


def _subscription(each: TriggerSubscriptionRecord) -> tuple[str, ...]:
    registrant = (
        "host"
        if isinstance(each.registrant, HostOriginator)
        else each.registrant.scope.scope_id
    )
    return (
        each.subscription_id,
        "yes" if each.enabled else "no",
        registrant,
        each.name or "-",
        each.source_type,
        shortened(each.source_key, CHARS),
        each.target_label or each.target_identity.label or each.target_identity.kind,
        "-" if each.wake_target is None else each.wake_target.scope_id,
        shown_time(each.created_at_ms),
    )


def _occurrence(view: OccurrenceView) -> tuple[str, ...]:
    each, counts = view.occurrence, view.deliveries
    return (
        each.occurrence_id,
        shown_time(each.occurred_at_ms),
        each.source_type,
        shortened(each.source_key, CHARS),
        shortened(each.idempotency_key, CHARS),
        shown_json(each.payload),
        str(counts.delivery_count),
        str(counts.pending_count),
        str(counts.error_count),
    )


def _delivery(view: DeliveryView) -> tuple[str, ...]:
    each, occurrence = view.delivery, view.occurrence
    return (
        str(each.seq),
        shown_time(each.reserved_at_ms),
        each.subscription_id,
        each.process_id,
        "(damaged)" if occurrence is None else occurrence.source_type,
        "(damaged)" if occurrence is None else shown_json(occurrence.payload),
        each.payload_error or "-",
    )

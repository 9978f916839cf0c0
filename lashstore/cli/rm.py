"""
`lashstore rm`: delete sessions for good.
"""

from pathlib import Path

import click

from lashstore.tools.removing import Removal, plan_removal, remove

from .reading import (
    complete_session,
    json_option,
    one_line,
    print_json,
    shown_bytes,
    target_argument,
)


@click.command()
@target_argument("target")
@click.option(
    "--session",
    "-s",
    "session_ids",
    multiple=True,
    metavar="ID",
    shell_complete=complete_session,
    help="Id of the session, if TARGET has many; may be repeated.",
)
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option(
    "--force",
    is_flag=True,
    help="Also a session that a host is running, or that cannot be read.",
)
@json_option
def rm(
    target: Path | str,
    session_ids: tuple[str, ...],
    *,
    yes: bool,
    force: bool,
    is_json: bool,
) -> None:
    r"""
    Delete sessions of TARGET for good, with all they have.

    TARGET is a session's file; or a folder of sessions or the address of a
    PostgreSQL database, and then --session says which. A host that has one
    open is told so at its next use. A session whose lease is live is refused,
    and one that cannot be read, unless --force is given; then none of them is
    deleted. Attachments' bytes outside are left to reclamation. Exit code 0:
    deleted; 1: refused, or not confirmed; 2: the command was used wrongly.

    \b
    Examples:
      lashstore rm sessions/ --session chat
      lashstore rm sessions/ -s chat -s other --yes
      lashstore rm chat.db --yes --force
    """
    if not session_ids and (isinstance(target, str) or target.is_dir()):
        msg = "TARGET has many sessions: say which of them with --session"
        raise click.UsageError(msg)
    removals = plan_removal(target, session_ids or None)
    reasons = [each.refusal for each in removals if each.refusal is not None]
    if reasons and not force:
        msg = f"{'; '.join(reasons)}; nothing was deleted (see --force)"
        raise click.ClickException(one_line(msg))
    if not yes:
        click.confirm(
            f"Delete for good: {', '.join(map(_words, removals))}?",
            abort=True,
            err=True,
        )
    for each in removals:
        remove(target, each)
        if not is_json:
            click.echo(f"deleted {_words(each)}")
    if is_json:
        print_json({"removed": list(removals)})


def _words(removal: Removal) -> str:
    if removal.session_id is None:
        return one_line(removal.place)
    size = (
        "" if removal.stored_bytes is None else f", {shown_bytes(removal.stored_bytes)}"
    )
    return (
        f"session {one_line(removal.session_id)} (revision "
        f"{removal.head_revision}{size})"
    )

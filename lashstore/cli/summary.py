"""
The summary of a session that a replay ends with.
"""

from collections.abc import Iterator

from lashstore.hosting.picture import SessionPicture

from .reading import shown_bytes


def summary_lines(picture: SessionPicture) -> Iterator[str]:
    """
    Yield the summary line by line.
    """
    session = picture.session
    database, beside = picture.database_bytes, picture.attachment_bytes()
    yield f"session   {session.session_id}"
    yield f"turns     {session.head_revision}"
    yield f"nodes     {len(session.graph.nodes)}"
    yield f"tokens    {_tokens(picture)}"
    attachments = f"attachments {shown_bytes(beside)} ({len(picture.attachments)})"
    if database is None:
        yield f"content   {attachments}"
    else:
        sizes = f"{shown_bytes(database + beside)}: database {shown_bytes(database)}"
        yield f"on disk   {sizes}, {attachments}"
    yield f"restarts  {picture.restart_count}"
    yield f"{'server' if database is None else 'file':<10}{picture.place}"


def _tokens(picture: SessionPicture) -> str:
    usages = [entry.usage for entry in picture.session.token_ledger]
    fresh = sum(usage.input_tokens for usage in usages)
    cached = sum(usage.cache_read_input_tokens for usage in usages)
    output = sum(usage.output_tokens for usage in usages)
    return (
        f"{picture.total_tokens():,} ({fresh:,} input, {cached:,} from cache, "
        f"{output:,} output)"
    )

"""
From what an operator names to the database files it stands for.
"""

import time
from pathlib import Path

from lashstore.connections import has_wal, is_absent
from lashstore.errors import InvalidArgumentError, StoreNotFoundError
from lashstore.model.record import require_text
from lashstore.session_places import is_session_file_name

_LOOKS = 20


def local_path(target: str | Path) -> Path:
    """
    Return a target as an absolute path.

    Raises:
        InvalidArgumentError: It is an address of another engine.
    """
    if isinstance(target, str) and "://" in target:
        msg = f"{target!r} is no path: this works on SQLite files and folders"
        raise InvalidArgumentError(msg)
    return Path(require_text("the path", str(target))).absolute()


def database_files(target: Path) -> tuple[Path, ...]:
    """
    Return the database files that *target* names: itself, or those directly
    in it, in the order of their names. An empty file counts as absent.

    Raises:
        StoreNotFoundError: There is nothing of that name, or nothing in it.
    """
    if target.is_dir():
        found = tuple(
            path
            for path in sorted(target.iterdir())
            if path.suffix == ".db" and path.is_file() and not is_absent(path)
        )
    else:
        found = () if is_absent(target) else (target,)
    if not found:
        raise StoreNotFoundError(path=str(target))
    return found


def lacks_wal_index(path: Path) -> bool:
    """
    Tell whether a database has a WAL without the index beside it, which only
    a writer makes: as when a file was copied with its WAL alone.
    """
    for _ in range(_LOOKS):
        if not has_wal(path) or Path(f"{path}-shm").exists():
            return False
        # The last to close a database removes the index first.
        time.sleep(0.005)
    return True


def is_surely_ours(path: Path, target: Path) -> bool:
    """
    Tell whether a file that turns out to be no database of ours is damage:
    it was named, or has the name of a session's file.
    """
    return path == target or is_session_file_name(path.name)

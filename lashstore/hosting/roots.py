"""
Where a replay keeps all it has: a folder of files, or one PostgreSQL database.
"""

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import sqlalchemy as sa

from lashstore import AttachmentStore, FileAttachmentStore, ProcessRegistry, Store
from lashstore.engines import parse_target
from lashstore.session_places import session_file_name
from lashstore.tables import EFFECT_COMPONENT, PROCESS_COMPONENT, TRIGGER_COMPONENT

from .stored_attachments import StoredAttachments
from .tool_runs import ServerToolRunLog, ToolRunLog, ToolRuns

_FILES = {
    EFFECT_COMPONENT: "effects.db",
    PROCESS_COMPONENT: "processes.db",
    TRIGGER_COMPONENT: "triggers.db",
}


class Root(Protocol):
    """
    The sessions of a deployment and what they share.
    """

    @property
    def name(self) -> str:
        """
        What to call it, without a password.
        """
        ...

    @property
    def address(self) -> str | Path:
        """
        The address of its sessions, with the password if there is one.
        """
        ...

    def address_of(self, component: str) -> str | Path:
        """
        Return the address of what its sessions share of a component.
        """
        ...

    @property
    def has_effects(self) -> bool:
        """
        Whether an effect may have been recorded; False: certainly none.
        """
        ...

    def open_attachments(self, store: Store) -> AttachmentStore:
        """
        Open the bytes of a session's attachments.
        """
        ...

    def open_tool_runs(self, session_id: str) -> AbstractContextManager[ToolRuns]:
        """
        Open the log of a session's tool runs.
        """
        ...

    def place_of(self, session_id: str) -> str:
        """
        Say where a session is.
        """
        ...

    def size_of(self, session_id: str) -> int | None:
        """
        Return the size of a session's database in bytes; None: it has none of
        its own.
        """
        ...


class FolderRoot:
    """
    One file a session, one for each component, and attachments beside.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.name: str = str(folder)
        self.address: str | Path = folder

    def address_of(self, component: str) -> str | Path:
        """
        Return the file of a component.
        """
        return self._folder / _FILES[component]

    @property
    def has_effects(self) -> bool:
        """
        Whether effects have a file.
        """
        return Path(self.address_of(EFFECT_COMPONENT)).exists()

    def open_attachments(self, store: Store) -> AttachmentStore:  # noqa: ARG002, sessions of a folder share them
        """
        Open the folder's attachments.
        """
        return FileAttachmentStore(self._folder / "attachments")

    def open_tool_runs(self, session_id: str) -> AbstractContextManager[ToolRuns]:
        """
        Open the session's log file.
        """
        return contextlib.nullcontext(ToolRunLog(self._folder, session_id))

    def place_of(self, session_id: str) -> str:
        """
        Return the path of a session's file.
        """
        return str(self._path_of(session_id))

    def size_of(self, session_id: str) -> int | None:
        """
        Return the size of a session's file and its sidecars.
        """
        path = self._path_of(session_id)
        files = (path, *(path.with_name(path.name + tail) for tail in ("-wal", "-shm")))
        return sum(file.stat().st_size for file in files if file.exists())

    def _path_of(self, session_id: str) -> Path:
        return self._folder / session_file_name(session_id)


class ServerRoot:
    """
    One PostgreSQL database, in which everything is.
    """

    has_effects = True

    def __init__(self, url: sa.URL) -> None:
        self.name: str = url.render_as_string()
        self.address: str | Path = url.render_as_string(hide_password=False)

    def address_of(self, component: str) -> str | Path:  # noqa: ARG002, one database has all
        """
        Return the address of the database.
        """
        return self.address

    def open_attachments(self, store: Store) -> AttachmentStore:
        """
        Open the attachments among the session's own rows.
        """
        return StoredAttachments(store)

    @contextlib.contextmanager
    def open_tool_runs(self, session_id: str) -> Iterator[ToolRuns]:
        """
        Open the process whose events are the session's tool runs.
        """
        with ProcessRegistry.open(self.address) as processes:
            yield ServerToolRunLog(processes, session_id)

    def place_of(self, session_id: str) -> str:  # noqa: ARG002, one database has all
        """
        Return the address of the database.
        """
        return self.name

    def size_of(self, session_id: str) -> int | None:  # noqa: ARG002, none has one
        """
        Return None: sessions share the tables.
        """
        return None


def root_at(address: str | Path) -> Root:
    """
    Return the root at a path or at the address of a PostgreSQL database.

    Raises:
        InvalidArgumentError: It is neither.
    """
    target = parse_target(address)
    return ServerRoot(target) if isinstance(target, sa.URL) else FolderRoot(target)

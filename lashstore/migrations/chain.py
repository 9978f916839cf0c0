"""
The chains of migrations: one a component, one file a version.

alembic reads the files and knows their order. The version a database is at
stands in `schema_versions` alone, which is why revisions are named by the
versions they lead to, and no `alembic_version` table is ever made.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import ModuleType

from alembic.script import ScriptDirectory
from alembic.script.revision import RevisionError
from alembic.util import CommandError

from lashstore.errors import SchemaVersionError
from lashstore.tables import COMPONENT_TABLES

_HERE = Path(__file__).parent / "chains"

CHAINS: Mapping[str, Path] = {
    component: _HERE / component for component in COMPONENT_TABLES
}


class Chain:
    """
    The migrations of one component.
    """

    def __init__(self, component: str, folder: Path) -> None:
        self.component = component
        self._scripts = ScriptDirectory(str(folder))

    @property
    def head(self) -> str:
        """
        The version the last migration leads to.
        """
        head = self._scripts.get_current_head()
        assert head is not None  # noqa: S101, no chain is empty
        return head

    def modules_after(self, version: str | None) -> tuple[ModuleType, ...]:
        """
        Return the migrations that lead from a version to the head, in the
        order they are run; None: all of them.

        Raises:
            SchemaVersionError: No migration leads to or from that version.
        """
        try:
            found = list(self._scripts.iterate_revisions(self.head, version or "base"))
        except (CommandError, RevisionError) as error:
            raise SchemaVersionError(
                component=self.component, expected=self.head, found=version
            ) from error
        return tuple(script.module for script in reversed(found))


@cache
def chain_of(component: str, folder: Path) -> Chain:
    """
    Return a component's chain; its files are read once.
    """
    return Chain(component, folder)

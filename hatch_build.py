"""
Puts the contract into the wheel.

The tests in `tests/contract` hold our own backends; the wheel has the same
files as `lashstore.testing.contract._suite`, so that others can hold theirs.
An editable install has the checkout beside it, and no copy that could be old.
"""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ContractHook(BuildHookInterface[Any]):
    """
    Adds `tests/contract` to a wheel that is to be published.
    """

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """
        Say what goes where, unless the wheel is an editable one.
        """
        if version == "standard":
            suite = "lashstore/testing/contract/_suite"
            for path in Path(self.root, "tests", "contract").glob("*.py"):
                build_data["force_include"][str(path)] = f"{suite}/{path.name}"

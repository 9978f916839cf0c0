"""
"Command line": every command is there, every example is one, and the members
of JSON are those that are printed.
"""

import re
import shlex
from pathlib import Path

import click
import pytest

from lashstore.cli import main
from lashstore.cli.tree import GraphReport
from lashstore.repos.overviews import SessionCounts
from lashstore.repos.sizes import BlobSize, Growth, KeptSize, TableSize
from lashstore.tools.effect_views import EffectPage, EffectView
from lashstore.tools.history import CommitEntry, CommitPage
from lashstore.tools.maintaining import MaintainedSession, MaintenanceReport
from lashstore.tools.overviews import SessionOverview, SessionPage
from lashstore.tools.pages import HoldView
from lashstore.tools.process_views import ProcessDetail, ProcessPage, ProcessView
from lashstore.tools.revisions import PartChange, RevisionDiff
from lashstore.tools.session_reports import HeadReport, LeaseReport, SessionReport
from lashstore.tools.sizes import FileSize, SizeReport
from lashstore.tools.trigger_views import SubscriptionPage
from lashstore.tools.usage_reports import UsageReport
from lashstore.tools.waiting_work import BatchView, InputPage, InputView, QueuePage

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "command-line.md"
COMMANDS = main.list_commands(click.Context(main))
# The records whose members a command's tables tell, in their order.
RECORDS = {
    "ls": (SessionPage, SessionOverview),
    "show": (SessionReport, HeadReport, LeaseReport, SessionCounts),
    "log": (CommitPage, CommitEntry),
    "tree": (GraphReport,),
    "diff": (RevisionDiff, PartChange),
    "usage": (UsageReport,),
    "queue": (QueuePage, BatchView, HoldView),
    "inputs": (InputPage, InputView),
    "processes": (ProcessPage, ProcessView, ProcessDetail),
    "triggers": (SubscriptionPage,),
    "effects": (EffectPage, EffectView),
    "stats": (SizeReport, FileSize, TableSize, BlobSize, KeptSize, Growth),
    "gc": (MaintenanceReport, MaintainedSession),
    "vacuum": (MaintenanceReport, MaintainedSession),
}


def sections():
    """
    Return what stands below each command's heading.
    """
    text = PAGE.read_text()
    found = re.findall(
        r"^### `lashstore (\w+)`\n(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL
    )
    assert len(found) == len(dict(found))
    return dict(found)


def test_every_command_has_a_section():
    """
    No command is missing, and none is there that is not.
    """
    assert COMMANDS == sorted(sections())


@pytest.mark.parametrize("command", COMMANDS)
def test_examples(command):
    """
    Every example is of its command, and has no option or argument that it has
    not.
    """
    blocks = re.findall(
        r"^```sh\n(.*?)^```", sections()[command], re.MULTILINE | re.DOTALL
    )
    lines = "".join(blocks).splitlines()

    assert lines
    for line in lines:
        program, name, *words = shlex.split(line)
        assert ("lashstore", command) == (program, name)
        parse(main.get_command(click.Context(main), command), name, words)


def parse(command, name, words):
    context = command.make_context(name, list(words))
    if isinstance(command, click.Group):
        chosen, *rest = words
        parse(command.get_command(context, chosen), chosen, rest)


def test_examples_of_the_help_are_examples():
    """
    Nor has any of `--help`.
    """
    for command in COMMANDS:
        found = main.get_command(click.Context(main), command)
        for line in re.findall(r"^\s*lashstore (\w+ .*)$", found.help, re.MULTILINE):
            name, *words = shlex.split(line.split(" > ")[0].split(" | ")[0])
            assert command == name
            parse(found, name, words)


@pytest.mark.parametrize("command", RECORDS)
def test_members(command):
    """
    The tables name the members that are printed, and all of them.
    """
    tables = re.findall(
        r"^\| Member \| Meaning \|\n\| --- \| --- \|\n((?:\|.*\n)+)",
        sections()[command],
        re.MULTILINE,
    )
    told = [
        [
            member
            for row in table.splitlines()
            for member in re.findall(r"`(\w+)`", row.split("|")[1])
        ]
        for table in tables
    ]

    expected = [sorted(record.__struct_fields__) for record in RECORDS[command]]
    assert expected == [sorted(members) for members in told]

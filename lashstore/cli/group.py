"""
The command group: loads commands when they are run, and turns what a user can
run into one line on stderr.
"""

import errno
import importlib
import keyword
from typing import Any

import click
from click.shell_completion import CompletionItem

from lashstore.errors import LashStoreError
from lashstore.hosting.errors import HostingError

# A command's name is its module's and its function's. The line of help stands
# here, so that `lashstore --help` need not import what a command imports.
_COMMANDS = {
    "backup": "Add a snapshot of a file or folder to a backup.",
    "compact": "Give free pages and the WAL back to the disk.",
    "completion": "Print the script that completes commands in a shell.",
    "copy": "Copy sessions between folders of files and PostgreSQL databases.",
    "db": "Upgrade databases, and tell which need it.",
    "demo": "Kill a session five times and show that nothing is lost.",
    "diff": "Show what changed between two revisions of a session.",
    "doctor": "Say what about a host, disk or file is going to hurt.",
    "effects": "List recorded effects.",
    "export": "Write a session as one portable archive.",
    "gc": "Remove blobs that nothing of a session needs any more.",
    "import": "Make a session from an archive.",
    "inputs": "List a session's turn inputs.",
    "log": "List a session's commits, the latest first.",
    "ls": "List sessions.",
    "processes": "List background processes, or show one.",
    "queue": "List a session's queued work.",
    "replay": "Run a recorded conversation as an agent host would.",
    "restore": "Make the files of a backup's snapshot in a folder.",
    "rm": "Delete a session for good.",
    "show": "Show a session: head, lease, counts, sizes, last messages.",
    "stats": "Tell what takes the space: bytes by table and kind.",
    "tree": "Draw a session's graph, in the terminal or as a picture.",
    "triggers": "List trigger subscriptions and occurrences.",
    "usage": "Add up tokens by source and model.",
    "vacuum": "Remove tombstones and finished turn inputs.",
    "verify": "Check every row of a file, folder or server; repair files.",
}


class _Refused(click.ClickException):
    """
    What was asked cannot be done.
    """

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class _Misused(_Refused):
    """
    It was asked wrongly.
    """

    exit_code = 2


class LashstoreGroup(click.Group):
    """
    A group whose commands never end in a traceback the user has caused.

    Exit codes: 0, done, and nothing to complain of; 1, something was found
    that is wrong, or what was asked cannot be done; 2, it was asked wrongly.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """
        Name the commands.
        """
        return sorted({*_COMMANDS, *super().list_commands(ctx)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """
        Import a command.
        """
        if cmd_name not in _COMMANDS:
            return super().get_command(ctx, cmd_name)
        # `import` is no name in Python; `import_` is.
        name = f"{cmd_name}_" if keyword.iskeyword(cmd_name) else cmd_name
        module = importlib.import_module(f"lashstore.cli.{name}")
        command: click.Command = getattr(module, name)
        if command.help is not None:
            # How click is told to wrap no line of a paragraph, as a docstring
            # that is raw spells it.
            command.help = command.help.replace("\\b\n", "\b\n")
        return command

    def shell_complete(
        self, ctx: click.Context, incomplete: str
    ) -> list[CompletionItem]:
        """
        Complete commands and options, without importing any command.
        """
        found = [
            CompletionItem(name, help=line)
            for name, line in sorted(_COMMANDS.items())
            if name.startswith(incomplete)
        ]
        # What click adds to the commands of a group: its own options.
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002, click's signature
        formatter: click.HelpFormatter,
    ) -> None:
        """
        List the commands in the help, without importing them.
        """
        with formatter.section("Commands"):
            formatter.write_dl(sorted(_COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        """
        Run a command.
        """
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            command = error.ctx.command_path if error.ctx else ctx.command_path
            message = f"{error.format_message()} (see '{command} --help')"
            raise _Misused(message) from error
        except (LashStoreError, HostingError) as error:
            raise _Refused(str(error)) from error
        except OSError as error:
            # A reader that has seen enough (`| head`) is no mistake; click
            # ends quietly then.
            if error.errno == errno.EPIPE:
                raise
            raise _Refused(str(error)) from error

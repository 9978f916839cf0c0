"""
The command group: loads commands when they are run, and turns what a user can
run into one line on stderr.
"""

import errno
import importlib
import keyword
from typing import Any

import click

from lashstore.errors import LashStoreError
from lashstore.hosting.errors import HostingError

# A command's name is its module's and its function's. The line of help stands
# here, so that `lashstore --help` need not import what a command imports.
_COMMANDS = {
    "backup": "Add a snapshot of a file or folder to a backup.",
    "compact": "Give free pages and the WAL back to the disk.",
    "copy": "Copy sessions between folders of files and PostgreSQL databases.",
    "db": "Upgrade databases, and tell which need it.",
    "demo": "Kill a session five times and show that nothing is lost.",
    "doctor": "Say what about a host, disk or file is going to hurt.",
    "export": "Write a session as one portable archive.",
    "import": "Make a session from an archive.",
    "replay": "Run a recorded conversation as an agent host would.",
    "restore": "Make the files of a backup's snapshot in a folder.",
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
        return command

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

"""
Runs a page's blocks in their order, as its reader would.
"""

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import psycopg
import sqlalchemy as sa
from click.testing import CliRunner
from postgres_server import PostgresServer

from lashstore.cli import main

from .blocks import ROOT, Block, PageError, read
from .shown import is_shown

# The server that documents name; a test's own takes its place.
_ADDRESS = re.compile(
    r"postgresql\+psycopg://(?:(?P<role>\w+)@)?db\.example/agents"
    r"\?schema=(?P<schema>\w+)"
)
_ROLE = re.compile(r"^CREATE ROLE (\w+)", re.MULTILINE)
_LOCK = 0x6C617368
_COLUMNS = "88"
_TIMEOUT_S = 60


@contextlib.contextmanager
def played(
    page: Path, folder: Path, get_server: Callable[[], PostgresServer]
) -> Iterator[None]:
    """
    Run what a page shows, in a folder, and clean the server up afterwards.

    Raises:
        PageError: Something failed, or printed what the page does not show.
    """
    player = _Player(folder, get_server)
    try:
        with contextlib.chdir(folder):
            for block in read(page):
                player.play(block)
        yield
    finally:
        player.clean_up()


class _Player:
    def __init__(self, folder: Path, get_server: Callable[[], PostgresServer]) -> None:
        self._folder = folder
        self._start_server = get_server
        self._lock: psycopg.Connection | None = None
        self._module = ModuleType("__main__")
        self._printed = ""
        # What stands in for an address, with the address a page has.
        self._addresses: dict[str, str] = {}
        self._schemas: set[str] = set()
        self._roles: set[str] = set()

    def _get_server(self) -> PostgresServer:
        server = self._start_server()
        if self._lock is None:
            # Pages have the same roles: processes that share a server take
            # turns.
            self._lock = psycopg.connect(server.base_uri, autocommit=True)
            self._lock.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
        return server

    def play(self, block: Block) -> None:
        if not block.is_run:
            return
        if block.is_output:
            self._compare(block, self._printed, block.text)
        elif block.is_file:
            path = self._folder / block.title
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self._with_addresses(block.text))
        else:
            getattr(self, f"_play_{block.language}")(block)

    def _play_python(self, block: Block) -> None:
        self._run_python(block, self._module)

    def _play_setup(self, block: Block) -> None:
        # It prepares files and no names, so that a page's code is complete.
        self._run_python(block, ModuleType("__main__"))

    def _run_python(self, block: Block, module: ModuleType) -> None:
        # Lines are numbered as in the page, for tracebacks.
        source = "\n" * block.line + self._with_addresses(block.text)
        code = compile(source, block.place.split(":")[0], "exec")
        printed = io.StringIO()
        before = sys.modules["__main__"]
        # Where classes look up the names in their annotations.
        sys.modules["__main__"] = module
        try:
            with contextlib.redirect_stdout(printed):
                exec(code, vars(module))
        except Exception as error:
            msg = f"{block.place}: {error!r}"
            raise PageError(msg) from error
        finally:
            sys.modules["__main__"] = before
        self._printed = printed.getvalue()

    def _play_sh(self, block: Block) -> None:
        text = block.text.replace("\\\n", "")
        commands = [
            line
            for line in text.splitlines()
            # Another test checks that a target exists; they run by themselves.
            if line and not line.startswith(("#", "make "))
        ]
        self._run_commands(block, [(command, "") for command in commands])

    def _play_console(self, block: Block) -> None:
        commands = [
            (command.replace("\n> ", "\n"), shown)
            for command, shown in re.findall(
                r"^\$ (.*(?:\n> .*)*)\n((?:(?!\$ ).*\n)*)", block.text, re.MULTILINE
            )
        ]
        assert block.text.startswith("$ "), f"{block.place}: no prompt"
        self._run_commands(block, commands)

    def _run_commands(self, block: Block, commands: list[tuple[str, str]]) -> None:
        wanted = int(block.comments.get("exit code", 0))
        for position, (command, shown) in enumerate(commands, 1):
            self._printed, code = self._run_command(self._with_addresses(command))
            if code != (wanted if position == len(commands) else 0):
                msg = f"{block.place}: `{command}` ended with {code}:\n{self._printed}"
                raise PageError(msg)
            if shown:
                self._compare(block, self._printed, shown)

    def _run_command(self, command: str) -> tuple[str, int]:
        words = shlex.shlex(command, posix=True, punctuation_chars=True)
        words.whitespace_split = True
        arguments = list(words)
        is_plain = not set("$*?`\n") & set(command) and not any(
            set(word) <= set("();<>|&") for word in arguments
        )
        if arguments[0] == "lashstore" and is_plain:
            # In this process: starting another for each takes too long.
            result = CliRunner(env={"COLUMNS": _COLUMNS}).invoke(
                main, arguments[1:], prog_name="lashstore"
            )
            if not isinstance(result.exception, SystemExit | None):
                raise result.exception
            return result.output, result.exit_code
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        ran = subprocess.run(
            ["sh", "-c", command],
            cwd=self._folder,
            env={
                **os.environ,
                "PATH": path,
                "PYTHONPATH": str(ROOT),
                "COLUMNS": _COLUMNS,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
        code = ran.returncode if ran.returncode >= 0 else 128 - ran.returncode
        return ran.stdout, code

    def _play_sql(self, block: Block) -> None:
        self._roles.update(_ROLE.findall(block.text))
        self._schemas.update(
            re.findall(r"^CREATE SCHEMA (\w+)", block.text, re.MULTILINE)
        )
        role = {"user": block.comments["as"]} if "as" in block.comments else {}
        uri = self._get_server().base_uri
        with psycopg.connect(uri, autocommit=True, **role) as connection:
            connection.execute(block.text)

    def _with_addresses(self, text: str) -> str:
        return _ADDRESS.sub(self._address, text)

    def _address(self, named: re.Match[str]) -> str:
        url = sa.make_url(self._get_server().url(named["schema"]))
        if named["role"]:
            url = url.set(username=named["role"], password=None)
        address = url.render_as_string(hide_password=False)
        self._schemas.add(named["schema"])
        self._addresses[address] = named[0]
        return address

    def _compare(self, block: Block, printed: str, shown: str) -> None:
        for address, as_named in self._addresses.items():
            printed = printed.replace(address, as_named)
        if not is_shown(printed, shown):
            msg = f"{block.place} shows\n{shown}\nbut this was printed:\n{printed}"
            raise PageError(msg)

    def clean_up(self) -> None:
        if self._lock is None:
            return
        with self._lock as connection:
            for schema in self._schemas:
                connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
            for role in self._roles:
                connection.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")

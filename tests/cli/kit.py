"""
A small conversation, and ways to replay it.
"""

from click.testing import CliRunner

from lashstore.cli import main
from lashstore.hosting.picture import take_picture
from lashstore.hosting.plan import build_plan
from lashstore.hosting.transcript import read_transcript
from lashstore.tables import COMPONENT_TABLES

LARGE = "line\n" * 2000
HISTORY = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "What is here?"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c1", "function": {"name": "ls", "arguments": "{}"}}],
    },
    {"role": "tool", "content": LARGE, "tool_call_id": "c1"},
    {"role": "assistant", "content": "Many lines.", "action": "wc"},
    {"role": "user", "content": "2000"},
    {"role": "assistant", "content": "Two thousand."},
    {"role": "user", "content": "Thanks."},
]


def run(*arguments):
    """
    Run the command line.
    """
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def replay(transcript, root, session_id="s"):
    """
    Run `lashstore replay`.
    """
    return run("replay", transcript, "--root", root, "--session", session_id)


def picture_of(transcript, root, session_id="s"):
    """
    Read what a replay made.
    """
    return take_picture(build_plan(read_transcript(transcript)), root, session_id)


def files_of(root):
    """
    Read every file under a folder but SQLite's index of the WAL.
    """
    return {
        path: path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and not path.name.endswith("-shm")
    }


def rows_of(postgres):
    """
    Read every row of the schema that tests share.
    """
    with postgres.connect() as connection:
        return {
            table.name: sorted(
                map(repr, connection.execute(f'SELECT * FROM "{table.name}"'))
            )
            for tables in COMPONENT_TABLES.values()
            for table in tables
        }


def assert_complains(result, exit_code, *words):
    """
    Check for one line on stderr, and nothing else.
    """
    assert exit_code == result.exit_code
    assert "" == result.stdout
    line = result.stderr.splitlines()[-1]
    assert line.startswith("Error: ")
    for word in words:
        assert word in line

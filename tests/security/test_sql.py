"""
No SQL is built from input: by the look of the code, and by hostile input.
"""

import ast
import inspect
import re
from pathlib import Path

import pytest

import lashstore
from lashstore import (
    InvalidArgumentError,
    LashStoreError,
    ProcessRegistry,
    SessionStoreFactory,
    Store,
    StoreOptions,
    TriggerStore,
)
from lashstore.testing import factories

from .conftest import QUICK

PACKAGE = Path(lashstore.__file__).parent
TAKES_SQL = {
    "DDL",
    "exec_driver_sql",
    "execute",
    "executemany",
    "executescript",
    "literal_column",
    "text",
}
LOOKS_LIKE_SQL = re.compile(
    r"\b(SELECT|INSERT INTO|UPDATE|DELETE FROM|PRAGMA|BEGIN|CREATE|DROP|ALTER|"
    r"LISTEN|NOTIFY|ATTACH|VACUUM|SAVEPOINT)\b"
)
# Text put together, and why no input is in it.
BUILT = {
    # Names and values of this library's own, checked by StoreOptions.
    ("connections.py", "f'PRAGMA {pragma};'"),
    ("connections.py", "''.join((f'PRAGMA {pragma};' for pragma in pragmas))"),
    (
        "engines/sqlite/database.py",
        "f'PRAGMA busy_timeout = {self._options.busy_timeout_ms}'",
    ),
    # A constant.
    ("tables.py", "f'PRAGMA application_id = {APPLICATION_ID}'"),
    ("migrations/upgrade.py", "f'PRAGMA application_id = {APPLICATION_ID}'"),
    ("engines/sqlite/opening.py", "f'PRAGMA application_id = {schema.application_id}'"),
    ("tools/file_checks.py", "f'PRAGMA integrity_check({_LISTED})'"),
    # Called with constants.
    ("tools/doctoring.py", "f'PRAGMA {name}'"),
    ("repos/sizes.py", "f'PRAGMA {name}'"),
    # The name of SQLite's table of pages, a constant.
    (
        "repos/sizes.py",
        "f\"SELECT m.tbl_name, m.type, sum(s.pgsize) FROM {_DBSTAT}('main', 1) AS s"
        ' JOIN sqlite_master AS m ON m.name = s.name GROUP BY m.tbl_name, m.type"',
    ),
    # The CHECKs of the tables, while the module is imported.
    ("repos/_scan.py", "f\"NOT ({' AND '.join(sorted(checks))})\""),
    # Called while the module is imported, with enumerations.
    (
        "repos/turn_inputs.py",
        "f\"'{value}'\" if isinstance(value, str) else str(value)",
    ),
    # One of two statements.
    ("repos/sessions.py", "_lock if to_write else _find"),
    (
        "repos/graph.py",
        "_list_for_commit_on_server if self._connection.locks_rows"
        " else _list_for_commit",
    ),
    # Names of settings and one of two values, while the module is imported.
    ("engines/postgres/transactions.py", "f\"'{name}'\""),
    ("engines/postgres/transactions.py", "f\"'{plan_cache_mode}'\""),
    # A name, quoted by the driver.
    (
        "engines/notifications.py",
        "sql.SQL('LISTEN {}').format(sql.Identifier(self._channel))",
    ),
    # Whole numbers that are constants of the module.
    ("repos/blobs.py", "str(PAGE)"),
    ("repos/checkpoint_blobs.py", "str(OLDEST)"),
    ("repos/sizes.py", "str(LATELY)"),
    ("repos/sizes.py", "str(width)"),
    ("repos/checkpoint_blobs.py", "str(_ONLY_A_BASE)"),
}
# What tests do to databases is no user's.
_TESTS = "testing/contract/"
BUILDS = (ast.JoinedStr, ast.BinOp, ast.IfExp)
HOSTILE = (
    "'; DROP TABLE sessions; --",
    '"; DROP SCHEMA public CASCADE; --',
    "%s %(name)s :name ? $1 {0} {x}",
    "\\'; SELECT pg_sleep(9); --",
    "../../../etc/passwd",
    "a\nb\r\t\x1b[2J\u202e\ufeff𝔘ñ\U0010ffff",
    "",
    "x" * 2000,
)
CONSTRUCTORS = {"close", "memory", "open", "open_readonly", "transaction"}
UNSTORABLE = ("nul\0", "\ud800")


def built_texts():
    """
    Yield each piece of SQL text that is no constant, with its file.
    """
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        if name.startswith(_TESTS):
            continue
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr) and LOOKS_LIKE_SQL.search(
                "".join(p.value for p in node.values if isinstance(p, ast.Constant))
            ):
                yield name, ast.unparse(node)
            if not isinstance(node, ast.Call) or not node.args:
                continue
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            given = node.args[0]
            if called in TAKES_SQL and (
                isinstance(given, BUILDS) or is_text_call(given)
            ):
                yield name, ast.unparse(given)


def is_text_call(node):
    """
    Tell whether an expression makes text of something.
    """
    return isinstance(node, ast.Call) and getattr(
        node.func, "attr", getattr(node.func, "id", "")
    ) in {"format", "join", "replace", "str"}


def test_no_statement_is_put_together():
    """
    Every text that reaches a database is a constant, or named above.
    """
    assert set(built_texts()) == BUILT


def test_the_look_sees_what_it_is_for(tmp_path, monkeypatch):
    """
    Each way of putting SQL together is found.
    """
    sources = (
        'c.execute(f"SELECT {x}")',
        'c.execute("SELECT " + x)',
        'c.execute("SELECT %s" % x)',
        'c.execute("SELECT {}".format(x))',
        'sa.text(",".join(x))',
        'q = f"DELETE FROM {t}"',
    )
    for number, source in enumerate(sources):
        (tmp_path / f"m{number}.py").write_text(source)
    monkeypatch.setitem(globals(), "PACKAGE", tmp_path)
    assert len(sources) == len({name for name, _ in built_texts()})


@pytest.mark.parametrize(
    "options",
    [
        {"busy_timeout_ms": "0; DROP TABLE sessions"},
        {"wal_limit_bytes": "1); --"},
        {"wal_limit_bytes": -1},
        {"max_blob_bytes": 0},
        {"max_record_bytes": True},
        {"synchronous": "off"},
    ],
)
def test_options_that_stand_in_pragmas_are_checked(options):
    """
    Numbers are numbers.
    """
    with pytest.raises(ValueError, match=r"."):
        StoreOptions(**options)


def simple_calls(thing, text):
    """
    Yield the public methods of *thing* that plain arguments can call, with
    *text* for each text.
    """
    plain = {"str": text, "int": 1, "bool": True, "bytes": b"x", "Json": {text: text}}
    for name, method in inspect.getmembers(thing, inspect.ismethod):
        if name.startswith("_") or name in CONSTRUCTORS:
            continue
        given, named = [], {}
        for parameter in inspect.signature(method).parameters.values():
            kind = parameter.annotation
            kind = getattr(kind, "__name__", str(kind)).split(" ")[0]
            if kind not in plain:
                if parameter.default is inspect.Parameter.empty:
                    break
            elif parameter.kind is inspect.Parameter.KEYWORD_ONLY:
                named[parameter.name] = plain[kind]
            else:
                given.append(plain[kind])
        else:
            yield name, lambda m=method, g=tuple(given), n=named: m(*g, **n)


def records_calls(store, text):
    """
    Yield writes of records with *text* in each of their texts.
    """
    turn = factories.next_turn_draft(text, source_key=text)
    yield lambda: store.enqueue_pending_turn_input(turn)
    work = factories.turn_work_draft(text, source_key=f"work {text}")
    yield lambda: store.enqueue_queued_work(work)
    yield lambda: store.save_session_meta(
        factories.session_meta(store.session_id, session_name=text, model=text)
    )
    yield lambda: factories.commit_nodes(
        store, factories.message_node(f"n{text}", content=text)
    )


def attempt(call):
    """
    Return an answer; of errors, only our own are answers.
    """
    try:
        answer = call()
        return list(answer) if inspect.isgenerator(answer) else answer
    except LashStoreError as error:
        if isinstance(error, lashstore.BackendError):
            raise
        return error


@pytest.mark.parametrize("text", [*HOSTILE, *UNSTORABLE], ids=repr)
def test_hostile_text_is_only_text(place, tmp_path, text):
    """
    Any text in any argument: stored and found as it is, or refused, and the
    tables and the other session's rows stay.
    """
    shared = isinstance(place.target, str)
    root = place.target if shared else tmp_path / "root"
    with SessionStoreFactory(root, options=QUICK) as factory:
        bystander = factory.create_store("bystander")
        factories.commit_nodes(bystander, factories.message_node("n1"))
        if text in UNSTORABLE:
            with pytest.raises(InvalidArgumentError):
                factory.create_store(text)
            store = factory.create_store("other")
        else:
            store = factory.create_store(f"{text}!")
            assert f"{text}!" in {info.session_id for info in factory.list_sessions()}
        called = [attempt(call) for _, call in simple_calls(store, text)]
        called += [attempt(call) for call in records_calls(store, text)]
        called += [attempt(call) for _, call in simple_calls(factory, text)]
        assert len(called) > 20
        if text not in UNSTORABLE:
            store.put_artifact_bytes(text, text.encode())
            assert text.encode() == store.get_artifact_bytes(text)
            assert text == store.load_node(f"n{text}").payload["content"]
            assert text == store.list_pending_turn_inputs()[0].source_key
        assert 1 == len(bystander.load_session().graph.nodes)
        assert shared or all(p.parent == root for p in root.rglob("*"))
    deployment = place.target if shared else tmp_path / "deployment.db"
    for opens in (ProcessRegistry, TriggerStore):
        opened = opens.open(deployment, options=QUICK)
        answers = [attempt(call) for _, call in simple_calls(opened, text)]
        assert len(answers) > 3
        opened.close()


def test_a_hostile_schema_name_is_a_name(postgres):
    """
    The address's schema is quoted wherever it stands.
    """
    name = 'a"; DROP TABLE sessions; --'
    url = postgres.url()
    target = lashstore.engines.parse_target(url).update_query_dict({"schema": name})
    try:
        with Store.open(target.render_as_string(hide_password=False), "s") as store:
            assert b"x" == store.get_blob(store.put_blob(b"x"))
    except InvalidArgumentError:
        return
    finally:
        with postgres.connect() as conn:
            conn.execute('DROP SCHEMA IF EXISTS "a""; DROP TABLE sessions; --" CASCADE')

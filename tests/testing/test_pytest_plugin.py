"""
The fixtures for hosts' tests, in runs of pytest of their own.
"""

import subprocess
import sys
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

# By its module's name: the plugin of this checkout, whatever is installed.
PLUGIN = ("-p", "no:lashstore", "-p", "lashstore.testing.pytest_plugin")

ROOT = Path(__file__).parents[2]
HOST = """
    import pytest
    from lashstore import SessionStoreFactory, StoreClosedError, TurnScope
    from lashstore.runtime import keep_session_lease
    from lashstore.testing import commit_nodes, die, message_node, next_turn_draft

    def half_a_turn(deployment, text):
        store = deployment.open_store()
        store.enqueue_pending_turn_input(next_turn_draft(text))
        deployment.effects.scoped(TurnScope(session_id="session", turn_id="1")).step(
            "ask", lambda: deployment.clock.now_ms()
        )
        with keep_session_lease(store) as keeper:
            keeper.expect_release()
            print("about to die")
            die()

    def only_returns(deployment):
        deployment.open_store().put_blob(b"content")

    def fails(deployment):
        raise KeyError("what went wrong")

"""


@pytest.fixture(name="run")
def _run(pytester):
    def run(tests, *arguments, **counts):
        pytester.makepyfile(HOST + tests)
        pytester.makeini("[pytest]\nfilterwarnings = error\naddopts = --strict-config")
        outcome = pytester.runpytest_subprocess(*PLUGIN, "-q", *arguments)
        outcome.assert_outcomes(**counts)
        return outcome

    return run


def test_fixtures_crash_and_restart(run):
    """
    Each store can be asked for by name; a crash leaves what a SIGKILL leaves,
    and a restart what closing leaves.
    """
    run(
        """
    def test_all(
        lashstore_store, lashstore_factory, lashstore_registry, lashstore_triggers,
        lashstore_effects, lashstore_clock, lashstore_deployment, tmp_path,
    ):
        assert 1_700_000_000_000 == lashstore_clock.now_ms()
        assert lashstore_factory.open_existing_store("session") is not None
        assert () == lashstore_registry.list_non_terminal()
        assert () == lashstore_triggers.list_subscriptions()
        assert 0 == lashstore_effects.prune(0)
        names = {path.name for path in (tmp_path / "lashstore").iterdir()}
        assert {"effects.db", "processes.db", "sessions", "triggers.db"} <= names

    def test_crash(lashstore_deployment, lashstore_store, capsys):
        lashstore_deployment.clock.advance(5)

        lashstore_deployment.crash(half_a_turn, "hello")

        assert "about to die\\n" == capsys.readouterr().out
        (waiting,) = lashstore_store.list_pending_turn_inputs()
        assert ("hello", 1_700_000_000_005) == (waiting.input, waiting.enqueued_at_ms)
        effects = lashstore_deployment.effects
        scope = TurnScope(session_id="session", turn_id="1")
        assert 1_700_000_000_005 == effects.scoped(scope).step("ask", lambda: 1)
        # Its lease is the dead host's, and taken over for that reason alone.
        with keep_session_lease(lashstore_store) as keeper:
            assert 2 == keeper.lease().fencing_token

    def test_return_is_a_crash(lashstore_deployment):
        lashstore_deployment.crash(only_returns)
        # Whoever closes a file last removes its log.
        assert 1 == len([*(lashstore_deployment.target / "sessions").glob("*.db-wal")])

    def test_restart(lashstore_deployment, lashstore_store):
        commit_nodes(lashstore_store, message_node("m1"))
        lashstore_deployment.restart()
        with pytest.raises(StoreClosedError):
            lashstore_store.load_session()
        opened = lashstore_deployment.open_store()
        assert 1 == opened.load_session_head_meta().head_revision

    def test_failures_are_told(lashstore_deployment):
        with pytest.raises(AssertionError, match="KeyError: 'what went wrong'"):
            lashstore_deployment.crash(fails)
        with pytest.raises(ValueError, match="top level"):
            lashstore_deployment.crash(lambda deployment: None)
    """,
        passed=5,
    )


def test_target_may_be_a_server(run, pytester, postgres):
    """
    A host's own `lashstore_target` says where its tests store.
    """
    url = postgres.url("plugin")
    pytester.makeconftest(
        f"""
    import pytest

    @pytest.fixture
    def lashstore_target():
        return {url!r}
    """
    )
    try:
        run(
            """
    def test_crash(lashstore_deployment, lashstore_store, lashstore_registry):
        lashstore_deployment.crash(half_a_turn, "hello")
        assert 1 == len(lashstore_store.list_pending_turn_inputs())
        assert () == lashstore_registry.list_non_terminal()
    """,
            passed=1,
        )
    finally:
        postgres.drop("plugin")


def test_unused_it_imports_nothing_heavy():
    """
    A run of pytest that uses no fixture of ours pays for none.
    """
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, lashstore.testing.pytest_plugin\n"
            "print([n for n in sys.modules if n.startswith('lashstore.')])\n"
            "print('sqlalchemy' in sys.modules, 'msgspec' in sys.modules)",
        ],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )

    assert [
        "['lashstore.testing', 'lashstore.testing.pytest_plugin']",
        "False False",
    ] == done.stdout.splitlines()

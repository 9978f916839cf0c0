"""
"Run on PostgreSQL": its statements and code do what they say.
"""

import secrets

import psycopg
import pytest
import sqlalchemy as sa
from damage.rich import SESSION, build, read_everything

from lashstore import (
    BackendError,
    EffectEnvelope,
    EffectHost,
    ExternalInput,
    HostOriginator,
    InvalidArgumentError,
    ProcessProvenance,
    ProcessRegistration,
    ProcessRegistry,
    RecoveryDisposition,
    SessionStoreFactory,
    Store,
    StoreBusyError,
    SuccessOutput,
    TriggerOccurrenceRequest,
    TriggerStore,
    TurnScope,
    copy_sessions,
)

from .blocks import ROOT
from .playing import played

PAGE = ROOT / "docs" / "how-to" / "run-on-postgresql.md"
OWNER, APP, SCHEMA = "lashstore_owner", "lashstore_app", "lashstore"


def address_of(postgres, role):
    url = sa.make_url(postgres.url(SCHEMA)).set(username=role, password=None)
    return url.render_as_string(hide_password=False)


def connect(postgres, role):
    return psycopg.connect(postgres.base_uri, user=role, autocommit=True)


@pytest.fixture(name="documented", scope="module")
def _documented(postgres, tmp_path_factory):
    """
    Do what the page says, in its order.
    """
    with played(PAGE, tmp_path_factory.mktemp("page"), lambda: postgres):
        yield postgres


def test_the_applications_role_can_do_all_that_stores_do(documented, tmp_path):
    """
    Sessions with content everywhere, processes, triggers and effects.
    """
    url = address_of(documented, APP)
    build(url)
    build(tmp_path / "same.db")
    assert read_everything(tmp_path / "same.db").keys() == read_everything(url).keys()
    with Store.open(url, SESSION) as store:
        store.vacuum()
        store.gc_unreachable()
    with ProcessRegistry.open(url) as processes:
        processes.register_process(
            ProcessRegistration(
                id="p",
                input=ExternalInput(),
                disposition=RecoveryDisposition.EXTERNALLY_OWNED,
                provenance=ProcessProvenance(originator=HostOriginator()),
            )
        )
        assert "p" == processes.complete_process("p", SuccessOutput(value=1)).id
    with TriggerStore.open(url) as triggers:
        triggers.record_occurrence(
            TriggerOccurrenceRequest(
                source_type="t", source_key="k", payload=1, idempotency_key="i"
            )
        )
    with EffectHost.open(url) as effects:
        scope = TurnScope(session_id="s", turn_id="t")
        envelope = EffectEnvelope(kind="k", effect_id="e", replay_key="r", command=1)
        assert 2 == effects.scoped(scope).execute_effect(envelope, lambda _: 2)
        effects.delete_session("s")
    assert copy_sessions(url, tmp_path / "copies").is_complete
    with SessionStoreFactory(url) as factory:
        factory.delete_session(SESSION)
        left = {session.session_id for session in factory.list_sessions()}
        assert SESSION not in left


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE {}.mine (a int)",
        "ALTER TABLE {}.sessions ADD COLUMN a int",
        "DROP TABLE {}.session_nodes",
        "TRUNCATE {}.session_nodes",
        "CREATE INDEX mine ON {}.sessions (session_id)",
        "UPDATE {}.schema_versions SET version = '2'",
        "DELETE FROM {}.schema_versions",
        "DROP SCHEMA {} CASCADE",
    ],
)
def test_it_cannot_change_the_schema(documented, statement):
    """
    Nor the version that is written in it.
    """
    with (
        connect(documented, APP) as app,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        app.execute(statement.format(SCHEMA))


def test_missing_tables_that_may_not_be_made(documented):
    """
    The error says what is not allowed.
    """
    url = sa.make_url(address_of(documented, APP)).update_query_dict(
        {"schema": "nowhere"}
    )

    with pytest.raises(BackendError, match="permission denied"):
        Store.open(url.render_as_string(hide_password=False), "s")


def test_a_long_key_is_refused(documented):
    """
    One that fits an entry of an index is stored, one that does not is an
    invalid argument; payloads may be long.
    """
    url = address_of(documented, APP)
    with Store.open(url, "s") as store:
        store.put_artifact_bytes(secrets.token_hex(1_250), b"x" * 100_000)
        with pytest.raises(InvalidArgumentError, match="too long"):
            store.put_artifact_bytes(secrets.token_hex(3_000), b"x")
    with pytest.raises(InvalidArgumentError, match="too long"):
        Store.open(url, secrets.token_hex(3_000))


def test_a_read_only_server_is_busy(documented):
    """
    As a primary that was demoted.
    """
    url = address_of(documented, APP)
    with Store.open(url, "s") as store, documented.connect() as connection:
        connection.execute(f"ALTER ROLE {APP} SET default_transaction_read_only = on")
        try:
            with pytest.raises(StoreBusyError, match="read-only"):
                Store.open(f"{url}&application_name=other", "another")
        finally:
            connection.execute(f"ALTER ROLE {APP} RESET default_transaction_read_only")
        store.put_blob(b"goes on")

"""
`copy_sessions`: what arrives is what was there, whole or not at all.
"""

import itertools
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tracemalloc

import pytest
from damage.rich import SESSION, build, read_everything

import lashstore.session_copies
from lashstore import (
    CopyOutcome,
    InvalidArgumentError,
    SessionStoreFactory,
    Store,
    StoreNotFoundError,
    copy_sessions,
)
from lashstore.engines import open_database, parse_target
from lashstore.model.options import StoreOptions
from lashstore.repos.session_rows import read_rows
from lashstore.session_places import session_file_name
from lashstore.tables import SESSION_COMPONENT, SESSION_TABLES

_numbers = itertools.count(1)


@pytest.fixture(name="schemas")
def _schemas(postgres):
    made = []

    def make():
        made.append(f"copies_{next(_numbers)}")
        return postgres.url(made[-1])

    yield make
    for schema in made:
        postgres.drop(schema)


@pytest.fixture(name="rich", scope="session")
def _rich(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rich")
    path = folder / session_file_name(SESSION)
    build(path)
    (folder / "answers").mkdir()
    shutil.copy(path, folder / "answers" / "copy.db")
    return folder, read_everything(folder / "answers" / "copy.db")


@pytest.fixture(name="folder")
def _folder(rich, tmp_path):
    shutil.copy(rich[0] / session_file_name(SESSION), tmp_path)
    return tmp_path


@pytest.fixture(name="places", params=["folder", "server"])
def _places(request, tmp_path):
    if request.param == "server":
        return request.getfixturevalue("schemas")
    return lambda: tmp_path / f"folder-{next(_numbers)}"


def address_of(place, session_id=SESSION):
    """
    Return where `Store.open` finds a session of a root.
    """
    return place if isinstance(place, str) else place / session_file_name(session_id)


def rows_of(place, session_id=SESSION):
    """
    Read every row of a session, its incarnation apart.
    """
    database = open_database(
        parse_target(address_of(place, session_id)), SESSION_COMPONENT, StoreOptions()
    )
    try:
        return database.read_through_core(lambda c: list(read_rows(c, session_id)))
    finally:
        database.close()


def outcomes(report):
    return {each.session_id: each.outcome for each in report.sessions}


def test_there_and_back(rich, folder, schemas, tmp_path):
    """
    File to server to server to file to file: equal rows in every table, and
    equal answers to every reading call.
    """
    before = rows_of(folder)
    stops = [folder, schemas(), schemas(), tmp_path / "back", tmp_path / "again"]

    for source, destination in itertools.pairwise(stops):
        report = copy_sessions(source, destination)

        assert report.is_complete
        (copied,) = report.sessions
        assert (SESSION, CopyOutcome.COPIED) == (copied.session_id, copied.outcome)
        assert (len(before), before) == (copied.row_count, rows_of(destination))
    assert {table for table, _ in before} == set(SESSION_TABLES)
    for stop in stops[1:]:
        assert rich[1] == read_everything(address_of(stop))


def test_a_copy_is_another_making_of_the_session(folder, places):
    """
    The incarnation is new; lease, fence and admission numbers go on.
    """
    place = places()
    copy_sessions(folder, place)

    with (
        Store.open(address_of(folder), SESSION) as one,
        Store.open(address_of(place), SESSION) as other,
    ):
        assert one._identity.incarnation != other._identity.incarnation
        with one.transaction() as here, other.transaction() as there:
            lease = here.execution_leases.find(SESSION)
            assert lease == there.execution_leases.find(SESSION)
            assert lease.lease is not None
            assert here.sessions.next_admission_seq(
                SESSION
            ) == there.sessions.next_admission_seq(SESSION)


def test_all_sessions_or_some(schemas, tmp_path):
    """
    Without ids, every session; with ids, those, and a missing one is told.
    """
    with SessionStoreFactory(tmp_path / "from") as factory:
        for name in ("a", "b/../c", "ünï"):
            factory.create_store(name).put_blob(name.encode())
    some, every = schemas(), schemas()

    picked = copy_sessions(tmp_path / "from", some, session_ids=["b/../c", "no", "a"])
    copy_sessions(some, every, session_ids=["a"])
    report = copy_sessions(tmp_path / "from", every)

    copied, present = CopyOutcome.COPIED, CopyOutcome.PRESENT
    assert {"b/../c": copied, "no": "missing", "a": copied} == outcomes(picked)
    assert not picked.is_complete
    assert {"a": present, "b/../c": copied, "ünï": copied} == outcomes(report)
    with SessionStoreFactory(every) as factory:
        assert ["a", "b/../c", "ünï"] == [
            info.session_id for info in factory.list_sessions()
        ]


def test_again_changes_nothing(folder, places):
    """
    What is there and equal is compared and left alone.
    """
    place = places()
    copy_sessions(folder, place)
    with Store.open(address_of(place), SESSION) as store:
        incarnation = store._identity.incarnation

    report = copy_sessions(folder, place)

    assert {SESSION: CopyOutcome.PRESENT} == outcomes(report)
    assert report.is_complete
    assert len(rows_of(place)) == report.sessions[0].row_count
    with Store.open(address_of(place), SESSION) as store:
        assert incarnation == store._identity.incarnation


def test_other_content_is_refused(folder, places):
    """
    A session that differs is named with the first row that does, and stays.
    """
    place = places()
    copy_sessions(folder, place)
    with Store.open(address_of(place), SESSION) as store:
        store.tombstone_nodes(["n4"])
    before = rows_of(place)

    report = copy_sessions(folder, place)

    (refused,) = report.sessions
    assert (CopyOutcome.DIFFERENT, False) == (refused.outcome, report.is_complete)
    assert refused.reason.endswith("is different")
    assert before == rows_of(place)


def test_one_more_row_is_other_content(folder, places):
    """
    Also behind the last row that both have.
    """
    place = places()
    copy_sessions(folder, place)
    with Store.open(address_of(place), SESSION) as store:
        store.put_blob(b"more")

    for one, other in ((folder, place), (place, folder)):
        (refused,) = copy_sessions(one, other).sessions
        assert CopyOutcome.DIFFERENT == refused.outcome
        assert "session_blobs" in refused.reason


def test_a_damaged_blob_is_not_copied(folder, places):
    """
    Its session stays away, and the others are copied.
    """
    with SessionStoreFactory(folder) as factory:
        factory.create_store("whole").put_blob(b"whole")
    with sqlite3.connect(address_of(folder)) as connection:
        connection.execute("UPDATE session_blobs SET content = zeroblob(9)")
    connection.close()
    place = places()

    report = copy_sessions(folder, place)

    copied, damaged = CopyOutcome.COPIED, CopyOutcome.DAMAGED
    assert {SESSION: damaged, "whole": copied} == outcomes(report)
    with SessionStoreFactory(place) as factory:
        assert ["whole"] == [info.session_id for info in factory.list_sessions()]


def test_a_file_that_is_none_is_told(folder, places):
    """
    A listing goes on behind a file that cannot be read.
    """
    broken = folder / session_file_name("broken")
    broken.write_bytes(b"no database" * 100)

    report = copy_sessions(folder, places())

    assert {
        str(broken): CopyOutcome.DAMAGED,
        SESSION: CopyOutcome.COPIED,
    } == outcomes(report)


def test_the_source_is_read_in_one_snapshot(folder, schemas, monkeypatch):
    """
    What is written while a copy runs stays at the source.
    """
    for source in (folder, schemas()):
        if isinstance(source, str):
            copy_sessions(folder, source)
        before = rows_of(source)
        write_rows = lashstore.session_copies.write_rows

        def racing(*arguments, source=source, write_rows=write_rows):
            *others, rows = arguments
            first = next(rows)
            with Store.open(address_of(source), SESSION) as store:
                store.put_blob(os.urandom(9))
            return write_rows(*others, itertools.chain([first], rows))

        destination = schemas()
        with monkeypatch.context() as patch:
            patch.setattr(lashstore.session_copies, "write_rows", racing)
            assert copy_sessions(source, destination).is_complete

        assert before == rows_of(destination)
        assert before != rows_of(source)


_DIES = """
import os, signal, sys
import lashstore.session_copies as copies
read_rows, calls = copies.read_rows, 0

def dying(connection, session_id):
    global calls
    calls += 1
    mine = calls
    for number, row in enumerate(read_rows(connection, session_id)):
        if (mine, number) == (int(sys.argv[3]), 20):
            os.kill(os.getpid(), signal.SIGKILL)
        yield row

copies.read_rows = dying
copies.copy_sessions(sys.argv[1], sys.argv[2])
"""


@pytest.mark.parametrize("moment", [1, 2, 3])
def test_a_kill_leaves_nothing_half_done(folder, places, moment):
    """
    Killed while rows are written or read back, it leaves no session; the
    next copy is whole.
    """
    place = places()
    arguments = [str(folder), str(place), str(moment)]
    done = subprocess.run([sys.executable, "-c", _DIES, *arguments], check=False)
    assert -signal.SIGKILL == done.returncode
    with SessionStoreFactory(place) as factory:
        assert [] == list(factory.list_sessions())

    assert {SESSION: CopyOutcome.COPIED} == outcomes(copy_sessions(folder, place))
    assert rows_of(folder) == rows_of(place)


def test_memory_is_bounded(tmp_path, schemas):
    """
    A session of 48 MiB takes a fraction of that.
    """
    dice = random.Random(1)
    with SessionStoreFactory(tmp_path / "from") as factory:
        store = factory.create_store("big")
        for _ in range(48):
            store.put_blob(dice.randbytes(2**20))
    server = schemas()

    for source, destination in (
        (tmp_path / "from", server),
        (server, tmp_path / "to"),
    ):
        tracemalloc.start()
        report = copy_sessions(source, destination)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert report.is_complete
        assert peak < 40 * 2**20


def test_what_cannot_be_copied(folder, tmp_path):
    """
    A root onto itself, from nowhere, by no id, from no engine.
    """
    with pytest.raises(InvalidArgumentError, match="the same"):
        copy_sessions(folder, str(folder))
    with pytest.raises(StoreNotFoundError):
        copy_sessions(tmp_path / "none", folder)
    with pytest.raises(InvalidArgumentError):
        copy_sessions(folder, tmp_path / "to", session_ids=["a\0"])
    with pytest.raises(InvalidArgumentError, match="no engine"):
        copy_sessions(folder, "mysql://host/db")
    assert not (tmp_path / "to").exists()


def test_a_copied_session_goes_on(folder, places):
    """
    Its holder may go on with its lease, its claims and its tokens.
    """
    place = places()
    copy_sessions(folder, place)

    with Store.open(address_of(folder), SESSION) as store:
        head = store.load_session_head_meta().head_revision
    with SessionStoreFactory(place) as factory:
        store = factory.open_existing_store(SESSION)
        assert head == store.load_session_head_meta().head_revision
        factory.delete_session(SESSION)
        assert None is factory.open_existing_store(SESSION)

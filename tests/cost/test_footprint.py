"""
Memory of many open sessions, and the time an import takes.
"""

import subprocess
import sys

import pytest

MEMORY = """
import os, sys

def rss():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

bare = rss()
from pathlib import Path
import lashstore as ls

how, folder = sys.argv[1], Path(sys.argv[2])
options = ls.StoreOptions(synchronous=ls.Synchronous.NORMAL)
if how == "factory":
    factory = ls.SessionStoreFactory(folder, options=options, max_open_engines=200)
    make = factory.create_store
elif how == "bounded":
    factory = ls.SessionStoreFactory(folder, options=options)
    make = factory.create_store
else:
    make = lambda name: ls.Store.open(folder / f"{name}.db", name, options=options)

stores = []
for n in range(200):
    store = make(f"session-{n}")
    owner = ls.LeaseOwnerIdentity.opaque("o", "o:1")
    fence = store.try_claim_session_execution_lease(owner, 60_000).lease.fence()
    nodes = tuple(
        ls.SessionNode(node_id=f"n{k}", payload={"role": "user", "content": "x" * 10_000})
        for k in range(2)
    )
    store.commit_runtime_state(ls.RuntimeCommit(
        session_id=store.session_id,
        session_execution_lease=fence,
        graph=ls.GraphAppend(nodes=nodes),
        checkpoint=ls.HydratedCheckpoint(tool_state={"text": "y" * 20_000}),
    ))
    stores.append(store)
for store in stores:
    assert len(store.load_session().graph.nodes) == 2
print((rss() - bare) / 2**20)
"""

IMPORT = """
import time
start = time.perf_counter()
import lashstore
print(time.perf_counter() - start)
"""


def _run(*arguments):
    done = subprocess.run(
        [sys.executable, "-c", *arguments],
        check=True,
        capture_output=True,
        text=True,
        timeout=300,
    )
    return float(done.stdout)


@pytest.mark.parametrize("how", ["direct", "factory", "bounded"])
def test_two_hundred_open_sessions_fit(how, tmp_path):
    """
    200 sessions, written to and read, take less than 150 MB of memory.
    """
    assert _run(MEMORY, how, str(tmp_path)) < 150


def test_import_is_quick():
    """
    `import lashstore` takes less than a quarter of a second.
    """
    assert min(_run(IMPORT) for _ in range(7)) < 0.25


def test_import_leaves_the_rest_alone():
    """
    Importing the library imports no Alembic, no psycopg and no command line.
    """
    code = (
        "import sys, lashstore; wrong = {'alembic', 'psycopg', 'click', 'rich'}"
        " & set(sys.modules); print(len(wrong))"
    )
    assert _run(code) == 0

"""
How long garbage collection holds the write lock at once.

Another process asks for SQLite's write lock all the time, and notes how long
it is refused in a row. What it is refused for is the collection's steps, their
fsyncs and the WAL checkpoints between them.
"""

import hashlib
import multiprocessing
import random
import sqlite3
import tempfile
import time
from pathlib import Path

from lashstore import ArtifactKind, Store, StoreOptions, Synchronous
from lashstore.repos.blobs import StoredBlob

BLOBS = 100_000
_BATCH = 5_000
_LIMIT_MS = 50
_ASK_EVERY_S = 0.0003


def _blob(dice, size):
    content = dice.randbytes(size)
    return StoredBlob(
        blob_ref=hashlib.sha256(content).hexdigest(),
        kind=ArtifactKind.TOOL_STATE,
        compression="none",
        raw_bytes=size,
        content=content,
    )


def _fill(store, count, size):
    dice = random.Random(size)
    for start in range(0, count, _BATCH):
        blobs = [_blob(dice, size) for _ in range(min(_BATCH, count - start))]
        with store.transaction() as tx:
            tx.blobs.add(store.session_id, blobs)


def _ask(path, stop, answers):
    database = sqlite3.connect(path, isolation_level=None, timeout=0)
    database.execute("PRAGMA wal_autocheckpoint = 0")
    refusals, since = [], None
    while not stop.is_set():
        try:
            database.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            since = since or time.perf_counter()
        else:
            database.execute("ROLLBACK")
            if since is not None:
                refusals.append(time.perf_counter() - since)
                since = None
        time.sleep(_ASK_EVERY_S)
    answers.put(refusals)
    database.close()


def measure_collection(size, count=BLOBS, folder=None):
    """
    Return the longest that one writer was refused while *count* blobs of
    *size* bytes were collected.
    """
    with tempfile.TemporaryDirectory(prefix="lash-bench-", dir=folder) as place:
        path = Path(place) / "garbage.db"
        options = StoreOptions(synchronous=Synchronous.FULL)
        with Store.open(path, "garbage", options=options) as store:
            _fill(store, count, size)
            context = multiprocessing.get_context("forkserver")
            stop, answers = context.Event(), context.Queue()
            asking = context.Process(target=_ask, args=(str(path), stop, answers))
            asking.start()
            start = time.perf_counter()
            report = store.gc_unreachable()
            taken = time.perf_counter() - start
            stop.set()
            refusals = sorted(answers.get(timeout=60))
            asking.join()
    if report.deleted_blob_count != count:
        msg = f"{report.deleted_blob_count} of {count} blobs were collected"
        raise RuntimeError(msg)
    usual = refusals[len(refusals) * 99 // 100] * 1000 if refusals else 0.0
    longest = round(refusals[-1] * 1000 if refusals else 0.0, 1)
    return {
        "case": f"write lock held, {count:,} blobs of {size:,} bytes collected",
        "value": longest,
        "unit": "ms",
        "worst": longest,
        "limit": _LIMIT_MS,
        "note": f"{len(refusals)} refusals, p99 {usual:.1f} ms, {taken:.1f} s in all",
    }

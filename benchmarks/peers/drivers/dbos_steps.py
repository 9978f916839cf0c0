"""
dbos: steps of a workflow, run for the first time, and replayed by forking the
workflow behind its last step.
"""

import sqlite3
import time

from dbos import DBOS

from benchmarks.peers.data import BODY
from benchmarks.peers.protocol import Workload, serve

_times = []


@DBOS.step()
def _step(_number):
    return BODY


@DBOS.workflow()
def _flow(count):
    _times.clear()
    for number in range(count):
        start = time.perf_counter_ns()
        _step(number)
        _times.append(time.perf_counter_ns() - start)
    return count


class Step(Workload):
    durability = (
        "its file put into WAL beforehand (it keeps SQLite's rollback journal),"
        " synchronous FULL (SQLite's default, which it keeps)"
    )
    package = "dbos"

    def __init__(self, folder, _address) -> None:
        path = folder / "peer.db"
        database = sqlite3.connect(path)
        database.execute("PRAGMA journal_mode = WAL")
        database.close()
        DBOS(
            config={
                "name": "bench",
                "system_database_url": f"sqlite:///{path}",
                "log_level": "ERROR",
                "run_admin_server": False,
            }
        )
        DBOS.launch()

    def run_rounds(self, count):
        assert _flow(count) == count
        return list(_times)

    def close(self) -> None:
        DBOS.destroy()


class Replay(Step):
    _steps = 100

    def run_rounds(self, count):
        found = []
        while len(found) < count:
            first = DBOS.start_workflow(_flow, self._steps)
            first.get_result()
            fork = DBOS.fork_workflow(first.get_workflow_id(), self._steps + 1)
            fork.get_result()
            assert len(_times) == self._steps
            found += _times
        return found[:count]


if __name__ == "__main__":
    serve({"step": Step, "replay": Replay})

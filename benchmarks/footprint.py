"""
What a process pays before it does anything: imports, open sessions. Each is
measured in fresh processes; the goals are absolute.
"""

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

_IMPORT = """
import time
start = time.perf_counter()
from lashstore import Store
print(time.perf_counter() - start)
"""

_SESSIONS = """
import sys
from lashstore import SessionStoreFactory

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

folder, count = sys.argv[1], int(sys.argv[2])
before = resident()
with SessionStoreFactory(folder, max_open_engines=count) as factory:
    stores = [factory.create_store(f"session-{n}") for n in range(count)]
    for store in stores:
        store.load_session()
    print(before, resident())
"""


def measure_import(rounds=9):
    """
    Return how long `from lashstore import Store` takes, files cached.
    """
    times = [float(_run(_IMPORT)[0]) for _ in range(rounds + 1)][1:]
    return {
        "case": "import of Store",
        "value": round(statistics.median(times), 3),
        "unit": "s",
        "worst": round(max(times), 3),
        "limit": 0.25,
    }


def measure_sessions(count=200):
    """
    Return the resident memory that so many open sessions add, each with its
    own database kept open.
    """
    with tempfile.TemporaryDirectory(prefix="lash-bench-") as folder:
        before, after = map(int, _run(_SESSIONS, folder, str(count)))
    return {
        "case": f"{count} open sessions",
        "value": round((after - before) / 2**20, 1),
        "unit": "MB",
        "worst": round(after / 2**20, 1),
        "limit": 100,
    }


def _run(script, *arguments):
    # Compiled files are kept between the processes, wherever the environment
    # would have them.
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[1]),
        "PYTHONPYCACHEPREFIX": str(Path(tempfile.gettempdir(), "lash-bench-pycache")),
    }
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.split()

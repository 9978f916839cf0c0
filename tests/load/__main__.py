"""
`python -m load`: hosts that are killed; `python -m load scale`: throughput by
the number of clients. On LASHSTORE_TEST_POSTGRES, or a server of its own.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from postgres_server import server

from .campaign import describe, run
from .scale import print_scale


def main():
    """
    Run what was asked for.
    """
    parser = argparse.ArgumentParser(prog="load", description=__doc__)
    parser.add_argument("what", nargs="?", choices=("kills", "scale"), default="kills")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--hosts", type=int, default=4)
    parser.add_argument("--sessions", type=int, default=200)
    parser.add_argument("--kill-every", type=float, default=3.0)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    # Here a disk is waited for, as it is in earnest.
    postgres = server()
    postgres.make_durable()
    if asked.what == "scale":
        print_scale(postgres, asked.seconds)
        return 0
    with tempfile.TemporaryDirectory(prefix="lashstore-load-") as folder:
        result = run(
            postgres.url(),
            Path(folder),
            hosts=asked.hosts,
            sessions=asked.sessions,
            seconds=asked.seconds,
            kill_every_s=asked.kill_every,
            seed=asked.seed,
        )
    for line in describe(result):
        print(line)
    return 1 if result.complaints else 0


sys.exit(main())

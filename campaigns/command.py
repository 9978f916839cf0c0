"""
The command line that all campaigns share.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .report import Report

NAMES = ("crash", "faults", "power_cut", "damage", "contention", "broken")
ENGINES = ("sqlite", "postgres")


def run_campaign(
    description: str,
    run: Callable[[argparse.Namespace], list[Report]],
    **settings: tuple[Any, Any, str],
) -> None:
    """
    Parse options, run, and exit with 1 if anything was violated.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--engine", choices=(*ENGINES, "both"), default="both")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, help="append the reports as JSON")
    for name, (kind, default, meaning) in settings.items():
        parser.add_argument(f"--{name}", type=kind, default=default, help=meaning)
    options = parser.parse_args()
    reports = run(options)
    if options.out is not None:
        for report in reports:
            report.save(options.out)
    sys.exit(any(report.violations for report in reports))


def engines(options: argparse.Namespace, **defaults: int) -> Iterator[tuple[str, int]]:
    """
    Yield the engines that were asked for, each with its default number.
    """
    for engine, default in defaults.items():
        if options.engine in (engine, "both"):
            yield engine, default

"""
Run a case: rounds of both sides in turns, each round timed by itself.
"""

import cProfile
import pstats
import shutil
import tempfile
import time
from pathlib import Path

from .figures import summarise


class AgainstItself:
    """
    The library against itself: the same case, small and large.

    The large one takes the library's place, the small one the floor's.
    """

    def __init__(self, large, small) -> None:
        self.large, self.small = large, small

    def pair_kind(self, folder: Path, synchronous):
        """
        Make a file for each.
        """
        places = (folder / "large", folder / "small")
        for place in places:
            place.mkdir()
        # Each its own kind: one with much, one with little.
        large, small = places
        return _Two(
            self.large.pair_kind(large, synchronous),
            self.small.pair_kind(small, synchronous),
        )

    def __call__(self, pair: "_Two"):
        return _Sides(self.large(pair.large), self.small(pair.small))


class _Two:
    def __init__(self, large, small) -> None:
        self.large, self.small = large, small

    def close(self) -> None:
        self.large.close()
        self.small.close()


class _Sides:
    statistic = "median"

    def __init__(self, large, small) -> None:
        self._large, self._small = large, small
        self.library, self.floor = large.library, small.library

    def prepare(self) -> None:
        self._large.prepare()
        self._small.prepare()


def measure(entry, rounds, folder):
    """
    Run a case and return its figures. Sides take turns at going first; the
    first tenth is not counted, unless the whole is what counts.
    """
    place = Path(tempfile.mkdtemp(prefix="lash-bench-", dir=folder))
    try:
        pair = entry.kind.pair_kind(place, entry.synchronous)
        case = entry.kind(pair)
        rounds = getattr(case, "rounds", None) or rounds
        warm = 0 if case.statistic == "total" else rounds // 10
        library, floor = _rounds(case, rounds + warm)
        sizes = pair.sizes() if hasattr(pair, "sizes") else None
        pair.close()
        if sizes is None:
            sizes = {side: _bytes(place, side) for side in ("library", "floor")}
    finally:
        shutil.rmtree(place)
    figures = summarise(library[warm:], floor[warm:], case.statistic)
    if case.statistic == "total":
        figures["bytes"] = sizes
    return {"case": entry.name, "against": entry.against, **figures, **entry.goal()}


def _rounds(case, count):
    library, floor = [], []
    for number in range(count):
        case.prepare()
        sides = [(case.library, library), (case.floor, floor)]
        for side, times in sides if number % 2 else reversed(sides):
            start = time.perf_counter_ns()
            side()
            times.append(time.perf_counter_ns() - start)
    return library, floor


def _bytes(place, side):
    return sum(path.stat().st_size for path in place.rglob(f"{side}*.db*"))


def profile(entry, rounds, folder):
    """
    Print where the library's side of a case spends its time, by own time,
    the driver's calls included.
    """
    place = Path(tempfile.mkdtemp(prefix="lash-bench-", dir=folder))
    try:
        pair = entry.kind.pair_kind(place, entry.synchronous)
        case = entry.kind(pair)
        rounds = min(rounds, getattr(case, "rounds", None) or rounds)
        profiler = cProfile.Profile()
        for number in range(rounds):
            case.prepare()
            if number < rounds // 10:
                case.library()
            else:
                profiler.runcall(case.library)
            case.floor()
        pair.close()
    finally:
        shutil.rmtree(place)
    print(f"{entry.name}: {rounds - rounds // 10} rounds")
    pstats.Stats(profiler).sort_stats("tottime").print_stats(25)

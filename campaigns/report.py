"""
What a campaign did and found, printed alike by all of them.
"""

import json
import statistics
import time
from collections import Counter
from pathlib import Path

_SHOWN = 20


class Report:
    """
    Counts and violations of one run.
    """

    def __init__(self, campaign: str, *, engine: str, seed: int) -> None:
        self.campaign = campaign
        self.engine = engine
        self.seed = seed
        self.counts: Counter[str] = Counter()
        self.detail: dict[str, Counter[str]] = {}
        self.violations: list[str] = []
        self.notes: list[str] = []
        self.recoveries_ms: list[float] = []
        self._began = time.monotonic()
        self.seconds = 0.0

    def violate(self, *what: str) -> None:
        """
        Write down what must not have happened.
        """
        self.violations += what

    def note(self, what: str) -> None:
        """
        Say something about how it was done.
        """
        if what not in self.notes:
            self.notes.append(what)

    def break_down(self, kind: str, key: str, by: int = 1) -> None:
        """
        Count *key* in the breakdown called *kind*.
        """
        self.detail.setdefault(kind, Counter())[key] += by

    def end(self) -> "Report":
        """
        Stop the clock and print.
        """
        self.seconds = time.monotonic() - self._began
        print(self.text(), flush=True)
        return self

    def text(self) -> str:
        """
        Return the report in lines.
        """
        lines = [f"campaign {self.campaign}, {self.engine}, seed {self.seed}"]
        lines += [f"  {name}: {count:,}" for name, count in self.counts.items()]
        for kind, counts in self.detail.items():
            told = ", ".join(f"{key} {n:,}" for key, n in counts.most_common())
            lines.append(f"  {kind}: {told}")
        if self.recoveries_ms:
            ordered = sorted(self.recoveries_ms)
            lines.append(
                f"  recovery: median {statistics.median(ordered):.1f} ms, "
                f"99 % within {ordered[int(0.99 * (len(ordered) - 1))]:.1f} ms, "
                f"longest {ordered[-1]:.1f} ms"
            )
        lines += [f"  note: {note}" for note in self.notes]
        lines.append(f"  time: {self.seconds:.1f} s")
        lines.append(f"  violations: {len(self.violations)}")
        lines += [f"    {each}" for each in self.violations[:_SHOWN]]
        return "\n".join(lines)

    def save(self, path: Path) -> None:
        """
        Append the report as one line of JSON.
        """
        told = {
            "campaign": self.campaign,
            "engine": self.engine,
            "seed": self.seed,
            "counts": self.counts,
            "detail": self.detail,
            "seconds": round(self.seconds, 1),
            "violations": self.violations[:_SHOWN],
            "violation_count": len(self.violations),
        }
        with path.open("a") as file:
            file.write(json.dumps(told) + "\n")

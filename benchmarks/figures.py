"""
Figures of two series of times: medians or totals, their ratio, its spread.
"""

import random
import statistics

_RESAMPLES = 1_000
# Resampling long series is slow and tells nothing that short ones do not.
_MOST = 500


def summarise(ours, theirs, statistic="median"):
    """
    Return the figures of nanoseconds of both sides.

    Args:
        statistic: "median" of the rounds, or "total" where rounds differ by
            nature, as when a session grows.
    """
    ratio, low, high = bootstrap(ours, theirs, statistic)
    return {
        "rounds": len(ours),
        "statistic": statistic,
        "ours_us": spread(ours),
        "theirs_us": spread(theirs),
        "ratio": ratio,
        "ratio_95": [low, high],
    }


def bootstrap(ours, theirs, statistic="median"):
    """
    Return the ratio of two series and its 95 % interval.
    """
    dice = random.Random(1)
    of = statistics.median if statistic == "median" else statistics.fmean

    def resampled(series):
        return of(dice.choices(series, k=min(len(series), _MOST)))

    def paired():
        # Rounds of a growing session are pairs: they cost alike because they
        # are at the same place.
        picks = dice.choices(range(len(ours)), k=min(len(ours), _MOST))
        return of([ours[n] for n in picks]) / of([theirs[n] for n in picks])

    is_paired = statistic == "total" and len(ours) == len(theirs)
    ratios = sorted(
        paired() if is_paired else resampled(ours) / resampled(theirs)
        for _ in range(_RESAMPLES)
    )
    tail = _RESAMPLES // 40
    return (
        round(of(ours) / of(theirs), 3),
        round(ratios[tail], 3),
        round(ratios[-tail - 1], 3),
    )


def spread(times):
    """
    Return a series of nanoseconds in microseconds.
    """
    tenths = statistics.quantiles(times, n=10) if len(times) > 1 else times * 9
    return {
        "p10": round(tenths[0] / 1_000, 1),
        "median": round(statistics.median(times) / 1_000, 1),
        "p90": round(tenths[-1] / 1_000, 1),
        "mean": round(statistics.fmean(times) / 1_000, 1),
        "max": round(max(times) / 1_000, 1),
    }

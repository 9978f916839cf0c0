"""
`python -m benchmarks`: what lashstore costs, as ratios to the floors or, with
--peers, to other libraries.
"""

import argparse
import sys
from pathlib import Path

from . import publishing, report, transcript_cases


def _find_transcripts():
    # Beside the repository, or beside the folder of its worktrees.
    places = [
        above / "shared" / "data" / "trajectories"
        for above in Path(__file__).resolve().parents
    ]
    return next((place for place in places if place.is_dir()), places[0])


def _parse():
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=500)
    parser.add_argument("--folder", help="where files go (default: the temp folder)")
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--no-write", action="store_true", help="leave results/ alone")
    parser.add_argument("--peers", action="store_true", help="peers, not floors")
    parser.add_argument(
        "--profile", action="store_true", help="profile the library's side instead"
    )
    parser.add_argument("--postgres", action="store_true", help="PostgreSQL cases too")
    parser.add_argument(
        "--transcripts",
        type=Path,
        default=_find_transcripts(),
        help="folder of transcripts",
    )
    parser.add_argument(
        "--publish", action="store_true", help="write docs/benchmarks.md from results/"
    )
    return parser.parse_args()


def _floor_rows(options):
    # Late, so that --peers and --publish need none of it.
    from .cases import CASES, Entry
    from .collection import measure_collection
    from .contention import measure_contention
    from .footprint import measure_import, measure_sessions
    from .runner import measure

    transcript_cases.folder = options.transcripts
    jobs = [
        (
            entry.name,
            lambda entry=entry: measure(
                entry, max(10, int(options.rounds * entry.share)), options.folder
            ),
        )
        for entry in CASES
    ]
    several = max(3, options.rounds // 100)
    jobs += [
        (name, lambda n=n: measure_contention(n, several, options.folder))
        for name, n in (
            ("8 processes on 8 sessions", 8),
            ("8 processes on one session", 1),
        )
    ]
    jobs += [("import of Store", measure_import)]
    jobs += [("200 open sessions", measure_sessions)]
    jobs += [
        (
            f"write lock held by collection, {size} B",
            lambda size=size: measure_collection(size, folder=options.folder),
        )
        for size in (200, 4096)
    ]
    for name, job in jobs:
        if options.only not in name:
            continue
        if "transcripts" in name and not options.transcripts.is_dir():
            _say(f"{name}: skipped, there are no transcripts at {options.transcripts}")
            continue
        yield job()
        _say(name)
    if options.postgres:
        # Later still: psycopg is an extra.
        from .postgres_cases import measure_postgres

        yield from measure_postgres(Entry, options.rounds, options.only, _say)
    else:
        _say("PostgreSQL: switched off; --postgres runs it")


def _profile(options):
    from .cases import CASES
    from .runner import profile

    transcript_cases.folder = options.transcripts
    for entry in CASES:
        if options.only in entry.name:
            profile(entry, options.rounds, options.folder)


def _peer_rows(options):
    from .peers.comparisons import compare

    return compare(
        options.rounds,
        options.only,
        folder=options.folder,
        with_postgres=options.postgres,
        say=_say,
    )


def _say(text):
    print(text, file=sys.stderr, flush=True)


def main():
    """
    Run, print and write the results.
    """
    options = _parse()
    if options.publish:
        publishing.publish()
        return
    if options.profile:
        _profile(options)
        return
    kind = "peers" if options.peers else "floors"
    where = report.machine(options.folder)
    rows = []
    try:
        for row in (_peer_rows if options.peers else _floor_rows)(options):
            rows.append(row)  # noqa: PERF402, an interrupt leaves what there is
    except KeyboardInterrupt:
        _say("interrupted: this is what there is")
    report.show(kind, rows)
    if not options.no_write:
        report.save(kind, where, rows, is_whole=not options.only)


if __name__ == "__main__":
    main()

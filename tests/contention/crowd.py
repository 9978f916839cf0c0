"""
Runs one function in several fresh processes at once.
"""

import multiprocessing
import traceback

_context = multiprocessing.get_context("forkserver")
# Importing takes longer than what most processes do.
_context.set_forkserver_preload(
    [
        "lashstore.hosting.runner",
        "lashstore.engines.postgres",
        "tests.contention.workers",
    ]
)
_PATIENCE_S = 120


def run_crowd(work, count, *arguments):
    """
    Call `work(index, barrier, *arguments)` in *count* processes; return what
    they returned, by index. Any failure fails the test with its traceback.
    """
    barrier = _context.Barrier(count)
    answers = _context.Queue()
    processes = [
        _context.Process(target=_work, args=(work, index, barrier, answers, arguments))
        for index in range(count)
    ]
    for process in processes:
        process.start()
    try:
        results = dict(answers.get(timeout=_PATIENCE_S) for _ in processes)
        for process in processes:
            process.join(_PATIENCE_S)
    finally:
        for process in processes:
            if process.is_alive():
                process.kill()
    failures = [result for ok, result in results.values() if not ok]
    assert not failures, "\n".join(failures)
    return [results[index][1] for index in range(count)]


def _work(work, index, barrier, answers, arguments):
    try:
        result = (True, work(index, barrier, *arguments))
    except BaseException:
        barrier.abort()
        result = (False, f"process {index}:\n{traceback.format_exc()}")
    answers.put((index, result))


def start(work, *arguments):
    """
    Start one process that calls `work(pipe, *arguments)`; return it and our
    end of the pipe.
    """
    ours, theirs = _context.Pipe()
    process = _context.Process(target=work, args=(theirs, *arguments))
    process.start()
    theirs.close()
    return process, ours

"""
Races on a server, each step of them held still by a lock that the test has.
"""

import threading
import time
from contextlib import contextmanager

from postgres_server import server
from psycopg.errors import DeadlockDetected

from lashstore.engines.postgres import pipeline


class Racers:
    """
    Threads that all wait for one lock, which the test holds meanwhile.
    """

    def __init__(self):
        self._lock = server().connect()
        self._threads = []
        self._answers = {}

    def hold(self, statement):
        """
        Take the lock.
        """
        self._lock.execute("BEGIN")
        self._lock.execute(statement)

    def start(self, *calls):
        """
        Start the calls one after the other, each when those before it wait.
        """
        for call in calls:
            place = len(self._threads)
            thread = threading.Thread(target=self._run, args=(place, call))
            self._threads.append(thread)
            thread.start()
            self._await_waiting(len(self._threads))

    def _run(self, place, call):
        try:
            self._answers[place] = call()
        except Exception as error:
            self._answers[place] = error

    def _await_waiting(self, count):
        # Until they are as far as they come: waiting for a lock, or done.
        deadline = time.monotonic() + 20
        with server().connect() as looking:
            while time.monotonic() < deadline:
                (waiting,) = looking.execute(
                    "SELECT count(*) FROM pg_stat_activity"
                    " WHERE wait_event_type = 'Lock'"
                ).fetchone()
                if waiting + len(self._answers) >= count:
                    return
                time.sleep(0.002)
        raise AssertionError(self._answers)

    def release(self):
        """
        Let them run, and return what each came to, in the order of the calls.

        Not in the order in which they ended: who is scheduled first once the lock
        is let go says nothing.
        """
        self._lock.execute("COMMIT")
        for thread in self._threads:
            thread.join(30)
        self._threads = []
        answers, self._answers = self._answers, {}
        return [answers[place] for place in sorted(answers)]

    def close(self):
        """
        Leave no lock and no thread behind.
        """
        self._lock.close()
        for thread in self._threads:
            thread.join(30)


def kinds(answers):
    """
    Return the answers' types, sorted by name.
    """
    return sorted(type(answer).__name__ for answer in answers)


@contextmanager
def counting_deadlocks(monkeypatch):
    """
    Yield a list that grows by each deadlock the server tells us of.

    Not the server's own count: it is told up to a second late, and would be
    that of another test.
    """
    seen = []
    plain = pipeline.error_from_result

    def error_of(result, *arguments, **named):
        error = plain(result, *arguments, **named)
        if isinstance(error, DeadlockDetected):
            seen.append(error)
        return error

    with monkeypatch.context() as patched:
        patched.setattr(pipeline, "error_from_result", error_of)
        yield seen

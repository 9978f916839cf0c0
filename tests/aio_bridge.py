"""
An async store behind the sync one's face: each call goes through an event loop
in a thread of its own, so that the contracts hold `lashstore.aio` too.
"""

import asyncio
import contextlib
import functools
import inspect
import threading


class Loop:
    """
    An event loop that runs in the background.
    """

    def __init__(self):
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def wait_for(self, coroutine):
        """
        Run a coroutine to its end and return what it returns.
        """
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()


@functools.cache
def shared_loop():
    """
    Return the one loop of the test run.
    """
    return Loop()


_OWN = ("_loop", "_beneath", "_inside")


class Bridge:
    """
    Any async store, called as its sync twin is.
    """

    def __init__(self, loop, beneath):
        self._loop = loop
        self._beneath = beneath
        # How a thread inside a transaction reaches the task that holds it.
        self._inside = threading.local()

    def __enter__(self):
        self._loop.wait_for(self._beneath.__aenter__())
        return self

    def __exit__(self, *raised):
        self._loop.wait_for(self._beneath.__aexit__(*raised))

    def __getattr__(self, name):
        if name.startswith("_"):
            # What `reclaim_orphaned_attachments` asks of a store.
            return getattr(self._beneath.sync, name)
        found = getattr(self._beneath, name)
        if inspect.isasyncgenfunction(found):
            return lambda *args, **kwargs: self._iterate(found(*args, **kwargs))
        if not callable(found):
            return found

        def call(*args, **kwargs):
            args = [
                each._beneath if isinstance(each, Bridge) else each for each in args
            ]
            if not inspect.iscoroutinefunction(found):
                return self._wrap(found(*args, **kwargs))
            ask = getattr(self._inside, "ask", None)
            if ask is not None:
                return self._wrap(ask(lambda: found(*args, **kwargs)))
            return self._wrap(self._loop.wait_for(found(*args, **kwargs)))

        return call

    # What a test puts in the way of a store's inner workings is put in the way
    # of the sync one's, which do the work.
    def __setattr__(self, name, value):
        if name in _OWN:
            super().__setattr__(name, value)
        else:
            setattr(self._beneath.sync, name, value)

    def __delattr__(self, name):
        delattr(self._beneath.sync, name)

    def _wrap(self, value):
        module = type(value).__module__
        return (
            Bridge(self._loop, value) if module.startswith("lashstore.aio") else value
        )

    def _iterate(self, iterator):
        while True:
            try:
                yield self._loop.wait_for(anext(iterator))
            except StopAsyncIteration:
                return

    @contextlib.contextmanager
    def transaction(self):
        """
        Enter and leave in one task, which waits while the body runs.
        """
        started, calls = threading.Event(), asyncio.Queue()
        entered, left = [], []

        async def hold():
            try:
                async with self._beneath.transaction() as tx:
                    entered.append(tx)
                    started.set()
                    while (call := await calls.get()) is not None:
                        work, answer = call
                        try:
                            answer.set_result(await work())
                        except BaseException as error:
                            answer.set_exception(error)
                    if left:
                        raise left[0]
            finally:
                started.set()

        task = asyncio.run_coroutine_threadsafe(hold(), self._loop._loop)
        started.wait()
        if not entered:
            task.result()

        def ask(work):
            answer = _Answer()
            self._loop._loop.call_soon_threadsafe(calls.put_nowait, (work, answer))
            return answer.result()

        self._inside.ask = ask
        try:
            yield _Inside(ask, entered[0])
        except BaseException as error:
            left.append(error)
            self._loop._loop.call_soon_threadsafe(calls.put_nowait, None)
            task.result()
            raise
        else:
            self._loop._loop.call_soon_threadsafe(calls.put_nowait, None)
            task.result()
        finally:
            self._inside.ask = None


class _Inside:
    def __init__(self, ask, tx):
        self._ask, self._tx = ask, tx
        self.session_id = tx.session_id

    def __getattr__(self, name):
        found = self._ask(lambda: self._tx.run(lambda sync: getattr(sync, name)))
        return (
            found if isinstance(found, int) else _Repository(self._ask, self._tx, name)
        )


class _Repository:
    def __init__(self, ask, tx, name):
        self._ask, self._tx, self._name = ask, tx, name

    def __getattr__(self, method):
        def call(*args, **kwargs):
            return self._ask(
                lambda: self._tx.run(
                    lambda sync: getattr(getattr(sync, self._name), method)(
                        *args, **kwargs
                    )
                )
            )

        return call


class _Answer:
    def __init__(self):
        self._done, self._value, self._error = threading.Event(), None, None

    def set_result(self, value):
        self._value = value
        self._done.set()

    def set_exception(self, error):
        self._error = error
        self._done.set()

    def result(self):
        self._done.wait()
        if self._error is not None:
            raise self._error
        return self._value

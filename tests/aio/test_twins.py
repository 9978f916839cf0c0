"""
The async stores are the sync ones' exact twins, and stay so.
"""

import importlib.util
import inspect
import re
from pathlib import Path

import pytest

import lashstore
from lashstore import aio

ROOT = Path(__file__).parent.parent.parent

PAIRS = {
    "Store": "AsyncStore",
    "SessionStoreFactory": "AsyncSessionStoreFactory",
    "ProcessRegistry": "AsyncProcessRegistry",
    "TriggerStore": "AsyncTriggerStore",
    "EffectHost": "AsyncEffectHost",
    "EffectController": "AsyncEffectController",
}
# What is not awaited: it does no I/O, or is awaited by what it returns.
PLAIN = {"transaction", "scoped", "start_replay"}
# What only event loops need.
EXTRA = {"AsyncStore": {"run_in_transaction"}}


def methods(cls):
    return {
        name: inspect.getattr_static(cls, name)
        for name in dir(cls)
        if not name.startswith("_")
        and callable(getattr(cls, name))
        and not isinstance(getattr(cls, name), lashstore.DurabilityTier)
    }


def plain(member):
    return getattr(member, "__func__", member)


def shape(function):
    """
    Parameters with kinds, defaults and annotations, the async spellings put
    back to the sync ones.
    """
    return [
        (each.name, each.kind, comparable(each.default), as_sync(each.annotation))
        for each in inspect.signature(function).parameters.values()
    ]


def comparable(default):
    # Clocks compare by identity.
    return type(default) if isinstance(default, lashstore.SystemClock) else default


def as_sync(annotation):
    text = getattr(annotation, "__name__", None)
    if text is None or "[" in repr(annotation) or "|" in repr(annotation):
        text = repr(annotation)
    text = text.strip("'\"")
    text = re.sub(r"typing\.|collections\.abc\.|lashstore\.[a-z_.]+\.", "", text)
    text = re.sub(r"Awaitable\[Any\]", "Any", text)
    text = re.sub(r"AsyncIterator\[", "Iterator[", text)
    text = re.sub(
        r"threading\.Event \| asyncio\.[a-z]*\.?Event", "threading.Event", text
    )
    text = re.sub(r"\bAsync(?=[A-Z])", "", text)
    return text.replace("CommitStore", "Store").replace("NoneType", "None")


def load_generator():
    spec = importlib.util.spec_from_file_location(
        "make_aio", ROOT / "tools" / "make_aio.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", load_generator().TWINS)
def test_generated_module_is_current(name):
    """
    Generating a module again changes nothing in it.
    """
    generator = load_generator()

    assert generator.module_source(name) == (
        (ROOT / "lashstore" / "aio" / "twins" / f"{name}.py").read_text()
    )


@pytest.mark.parametrize(("sync_name", "async_name"), PAIRS.items())
def test_same_methods(sync_name, async_name):
    """
    Every public method has a twin, and there are no others.
    """
    sync = set(methods(getattr(lashstore, sync_name)))
    twin = set(methods(getattr(aio, async_name)))

    assert sync | EXTRA.get(async_name, set()) == twin


@pytest.mark.parametrize(
    ("sync_name", "method"),
    [(name, method) for name in PAIRS for method in methods(getattr(lashstore, name))],
)
def test_same_signature(sync_name, method):
    """
    Parameters, kinds, defaults, annotations and results are the same.
    """
    sync = plain(methods(getattr(lashstore, sync_name))[method])
    twin = plain(methods(getattr(aio, PAIRS[sync_name]))[method])

    assert shape(sync) == shape(twin)
    if method != "transaction":
        returned = [
            as_sync(inspect.signature(each).return_annotation) for each in (sync, twin)
        ]
        assert returned[0] == returned[1]


@pytest.mark.parametrize(
    ("sync_name", "method"),
    [(name, method) for name in PAIRS for method in methods(getattr(lashstore, name))],
)
def test_awaited_but_for_few(sync_name, method):
    """
    A twin is a coroutine function, or an async iterator where the sync one
    iterates.
    """
    twin = plain(methods(getattr(aio, PAIRS[sync_name]))[method])
    is_awaited = inspect.iscoroutinefunction(twin) or inspect.isasyncgenfunction(twin)

    assert (method not in PLAIN) == is_awaited


@pytest.mark.parametrize("sync_name", ["SessionStoreFactory"])
def test_same_constructor(sync_name):
    """
    What is made by calling the class takes the same arguments.
    """
    sync, twin = getattr(lashstore, sync_name), getattr(aio, PAIRS[sync_name])

    assert shape(sync.__init__) == shape(twin.__init__)


def test_importing_the_package_imports_no_database():
    """
    Names are imported when they are first used.
    """
    import subprocess
    import sys

    program = (
        "import sys, lashstore.aio; "
        "print('sqlalchemy' in sys.modules, 'lashstore.aio.store' in sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert "False False\n" == ran.stdout

"""
Failing system calls, by a small library that is loaded before libc.

SQLite meets real errors of `pwrite` and `fsync` then, and decides by itself
what to undo.
"""

import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

WRITES, SYNCS = 1, 2
_SOURCE = Path(__file__).with_name("shim.c")
_MARK = "LASHSTORE_CAMPAIGN_SHIM"


def restart_with_shim() -> None:
    """
    Start this program anew with the shim; return if that is done, or cannot
    be for lack of a C compiler.
    """
    compiler = shutil.which("cc")
    if os.environ.get(_MARK) or compiler is None:
        return
    library = Path(tempfile.mkdtemp(prefix="lashstore-shim-")) / "shim.so"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-o", library, _SOURCE, "-ldl"],
        check=True,
    )
    preload = f"{library} {os.environ.get('LD_PRELOAD', '')}".strip()
    environment = {**os.environ, "LD_PRELOAD": preload, _MARK: str(library)}
    arguments = [sys.executable, "-m", "campaigns", "faults", *sys.argv[1:]]
    os.execve(sys.executable, arguments, environment)


def library() -> ctypes.CDLL | None:
    """
    Return the shim if this process was started with it.
    """
    path = os.environ.get(_MARK)
    return ctypes.CDLL(path) if path else None

r"""
The contract: what a session store promises, as tests for any backend.

The tests are those that lashstore's own backends pass; the wheel has them in
`_suite`, a checkout in `tests/contract`. On your backend:

    python -m pytest --pyargs lashstore.testing.contract \
        --lashstore-backend my_package.backends:MyBackend

where `MyBackend` extends `Backend`. Without the option they run on files and
in memory.
"""

from .backends import QUICK, Backend, FileBackend, MemoryBackend

__all__ = ["QUICK", "Backend", "FileBackend", "MemoryBackend"]

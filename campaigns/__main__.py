"""
Run one campaign: python -m campaigns crash --engine sqlite --seed 1
"""

import importlib
import sys

from .command import NAMES

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in NAMES:
        sys.exit(f"python -m campaigns {'|'.join(NAMES)} [--help]")
    name = sys.argv.pop(1)
    importlib.import_module(f"campaigns.{name}").main()

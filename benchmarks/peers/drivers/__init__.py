"""
One small program a peer; `ours` is lashstore's.

A program imports nothing of the project but the workload and the protocol, and
runs in its peer's virtual environment.
"""

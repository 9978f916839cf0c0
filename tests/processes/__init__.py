"""
The process registry: contract, state machines, cost, damage, two processes.
"""

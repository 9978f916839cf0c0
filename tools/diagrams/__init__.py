"""
The drawings in docs/diagrams, made from the tables and the state machines.
"""

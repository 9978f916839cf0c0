"""
Value types and the pure rules that decide on them: no SQL, no I/O.
"""

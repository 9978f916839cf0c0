"""
Generated twins; see tools/make_aio.py.
"""

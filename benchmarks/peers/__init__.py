"""
lashstore beside other libraries, each run by its own Python.
"""

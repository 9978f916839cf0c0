"""
Tests of the hosting helpers, sync and async.
"""

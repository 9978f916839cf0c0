"""
Tests of `lashstore.aio`: what the shared contracts cannot ask of it.
"""

"""
A server that stops and starts while it is used.
"""

"""
Real processes, really killed.
"""

"""
Hosts that share a server, and die on it.
"""

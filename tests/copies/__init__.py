"""
Sessions copied between folders and servers.
"""

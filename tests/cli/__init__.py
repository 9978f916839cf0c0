"""
The command line and the replay behind it.
"""

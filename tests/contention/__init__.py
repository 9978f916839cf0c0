"""
Real processes on one file: what they race for, and what kills them.
"""

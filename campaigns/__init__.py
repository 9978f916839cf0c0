"""
Long runs that try to make lashstore lose something, and report whether it did.
"""

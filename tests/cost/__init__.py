"""
What an operation costs must not depend on how much is stored.
"""

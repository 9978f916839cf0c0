"""
What an operator needs: verify, repair, back up, restore, move and examine.

Nothing here is imported by opening a store.
"""

"""
What lashstore costs, as ratios to hand-written sqlite3 code.
"""

"""
Damage done behind the library's back: found out, never believed.
"""

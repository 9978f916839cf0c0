"""
Tests of the migrations: that they lead where the tables are, and of the
machinery, by a chain made up for it.
"""

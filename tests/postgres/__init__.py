"""
What only a PostgreSQL server can do, or only a server's wires can show.
"""

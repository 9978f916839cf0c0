"""
A schema that never was, older than the first.
"""

revision = "0"
down_revision = None


def upgrade(op):
    """
    Never run: `tests.migrations.older` makes databases of this version.
    """
    raise NotImplementedError

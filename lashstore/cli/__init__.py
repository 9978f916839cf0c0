"""
The command line: `lashstore`, or `python -m lashstore.cli`.
"""

import click

from .group import LashstoreGroup


@click.group(
    cls=LashstoreGroup, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(package_name="lashstore")
def main() -> None:
    """
    Durable sessions for AI-agent runtimes.
    """

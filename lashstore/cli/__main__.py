"""
`python -m lashstore.cli`.
"""

from lashstore.cli import main

main(prog_name="lashstore")

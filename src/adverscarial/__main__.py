"""``python -m adverscarial``: the command line."""

from adverscarial.cli import main

main()

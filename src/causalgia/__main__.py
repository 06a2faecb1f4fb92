"""`python -m causalgia` is the command line."""

from causalgia.cli import main

main()

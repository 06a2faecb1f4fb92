"""The command line: one command a verb. Imports stay inside the commands, so that help is instant."""

from __future__ import annotations

import os
import signal
import sys


def main() -> None:
    """Runs the command line; bad input ends with one message and exit code 2."""
    # One thread a matrix product: they are small, and their sums then have one order whatever the machine.
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    from causalgia.cli.commands import app

    signal.signal(
        signal.SIGTERM, lambda number, frame: sys.exit(128 + number)
    )  # an exception, so that files are cleared
    try:
        app(standalone_mode=True)
    except ValueError as error:
        from causalgia.documents.errors import InputError

        if not isinstance(error, InputError):
            raise
        sys.stderr.write(f"Error: {error}\n")
        sys.exit(2)

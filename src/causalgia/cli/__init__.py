"""The command line: one command a verb. Imports stay inside the commands, so that help is instant."""

from __future__ import annotations

import sys


def main() -> None:
    """Runs the command line; bad input ends with one message and exit code 2."""
    from causalgia.cli.commands import app

    try:
        app(standalone_mode=True)
    except ValueError as error:
        from causalgia.documents.errors import InputError

        if not isinstance(error, InputError):
            raise
        sys.stderr.write(f"Error: {error}\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted; nothing was written.\n")
        sys.exit(130)

"""``python -m cvxnn``: see `cvxnn.cli`."""

import signal
import sys
from typing import NoReturn


class _Interrupt(KeyboardInterrupt):
    """Ctrl-C, of a type of its own.

    Once a plain KeyboardInterrupt has passed through `exec`, as of a named tuple that is being
    imported, CPython ends the process by SIGINT, even if it was caught.
    """


def _interrupt(*_: object) -> NoReturn:
    raise _Interrupt


def main() -> int:
    """Run the command line as all of a process; return its exit code, 130 if interrupted."""
    try:
        try:
            # A job in the background inherits SIGINT ignored, and keeps it so.
            if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
                signal.signal(signal.SIGINT, _interrupt)
            from cvxnn import cli  # here, for imports take long enough to be interrupted

            return cli.main()
        finally:
            # All is done or undone: the end of the interpreter is not to be interrupted.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
    except KeyboardInterrupt:
        print("cvxnn: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())

"""The command line: training, prediction, certificates and export on files."""

import os
import sys
from collections.abc import Sequence

from cvxnn.cli._parser import make_parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status.

    Parameters
    ----------
    argv : sequence of str or None, default=None
        Arguments; None is those of the process.

    Returns
    -------
    int
        0 if all went well, 1 if a solve did not converge or a network is not optimal, 2 for bad
        input, 130 if interrupted.
    """
    try:
        args = make_parser().parse_args(argv)
        status: int = args.run(args)
        sys.stdout.flush()  # a reader that left shows here, not at exit
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, TypeError, RuntimeError, MemoryError, OSError, ImportError) as error:
        print(f"cvxnn: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("cvxnn: interrupted", file=sys.stderr)
        return 130
    return status

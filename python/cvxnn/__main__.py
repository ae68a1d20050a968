"""Command line: ``python -m cvxnn demo`` and ``python -m cvxnn info``."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from cvxnn.diagnostics import show_versions


def _demo(folder: Path) -> int:
    try:
        from cvxnn import demo
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != "matplotlib":
            raise
        print(
            'the demo draws with matplotlib: python -m pip install "cvxnn[demo]"', file=sys.stderr
        )
        return 1
    demo.run(folder)
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status.

    Parameters
    ----------
    argv : sequence of str or None, default=None
        Arguments; None is those of the process.

    Returns
    -------
    int
        0 if all went well.
    """
    parser = argparse.ArgumentParser(prog="cvxnn", description="Globally optimal neural networks.")
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser("demo", help="train certified networks on two real data sets")
    demo.add_argument(
        "--output",
        type=Path,
        default=Path("cvxnn_demo"),
        metavar="FOLDER",
        help="where networks and picture go (default: %(default)s)",
    )
    commands.add_parser("info", help="print versions and the compiled core in use")
    args = parser.parse_args(argv)
    if args.command == "demo":
        return _demo(args.output)
    show_versions()
    return 0


if __name__ == "__main__":
    sys.exit(main())

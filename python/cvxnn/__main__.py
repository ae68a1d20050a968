"""``python -m cvxnn``: see `cvxnn.cli`."""

import sys

from cvxnn.cli import main

if __name__ == "__main__":
    sys.exit(main())

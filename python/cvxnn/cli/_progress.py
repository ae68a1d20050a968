"""One line on a terminal that shows how far a solve is."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from cvxnn._problem import Callback
from cvxnn.results import IterationInfo


@contextmanager
def shown_progress(*, quiet: bool) -> Iterator[Callback | None]:
    """Give a callback that rewrites one line of stderr; None where that is no terminal."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    try:
        yield _show
    finally:
        _rewrite("")


def _show(info: IterationInfo) -> bool:
    relative = info.gap / info.primal if info.primal > 0.0 else 0.0
    _rewrite(
        f"alpha {info.alpha:.4g}, iteration {info.iteration}, objective {info.primal:.6g}, "
        f"relative gap {relative:.1e}, {info.n_active} active, {info.elapsed:.1f} s"
    )
    return False


def _rewrite(text: str) -> None:
    sys.stderr.write(f"\r{text}\x1b[K")  # the rest of an older, longer line goes
    sys.stderr.flush()

"""A validated problem in the form that the compiled core wants, and what watches a solve."""

import contextlib
import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cvxnn._threads import effective_threads
from cvxnn._validation import (
    SOLVERS,
    Float,
    Samples,
    check_block_weights,
    check_choice,
    check_count,
    check_flag,
    check_positive,
    check_sample_weight,
    check_samples,
    check_share,
    check_targets,
    check_time_limit,
    check_verbose,
    refuse_sparse,
)
from cvxnn.losses import Huber, Loss, resolve_loss
from cvxnn.results import SPARSE_PENALTIES, WEIGHT_DECAYS, IterationInfo

Callback = Callable[[IterationInfo], bool | None]

PENALTIES = (*WEIGHT_DECAYS, *SPARSE_PENALTIES, "elastic")
L1_RATIO = 0.5
L2_RATIO = 0.5
_ROUNDING = 1e-9  # of the largest margin: by how much blocks may leave their cones

_log = logging.getLogger("cvxnn")


@dataclass(frozen=True)
class Problem:
    """Checked data, loss, weights and free columns: intercept first, then skip connection.

    Targets have a column an output. l1_ratio is of the penalty ``sparse_group``, l2_ratio of
    ``elastic``; ``nuclear`` takes a block for a matrix of block_rows rows, 0 for those it has.
    """

    data: Samples
    targets: Float
    omega: Float
    loss: Loss
    weights: Float
    fit_intercept: bool
    skip_connection: bool
    penalty: str = "group"
    l1_ratio: float = L1_RATIO
    l2_ratio: float = L2_RATIO
    block_rows: int = 0

    @property
    def n_outputs(self) -> int:
        """Number of columns of the targets."""
        return int(self.targets.shape[1])

    @property
    def _norm(self) -> str:
        """The core's name of the norm: Frobenius where it is that, which more solvers know."""
        if self.penalty == "sparse_group":
            return "sparse_group" if self.l1_ratio > 0.0 else "frobenius"
        column = self.n_outputs == 1 and self.block_rows == 0
        frobenius = self.penalty in ("group", "feature", "elastic") or column
        return "frobenius" if frobenius else self.penalty

    def arguments(self) -> dict[str, Any]:
        """Return the keyword arguments that every entry point of the core takes."""
        n_samples = self.data.shape[0]
        columns = [np.ones((n_samples, 1))] if self.fit_intercept else []
        if self.skip_connection:
            columns.append(np.asarray(self.data, dtype=np.float64))
        free = np.hstack(columns) if columns else np.empty((n_samples, 0))
        return {
            "loss": self.loss.name,
            "delta": self.loss.delta,
            "weights": self.weights,
            "free": np.asfortranarray(free),
            "norm": self._norm,
            "l1_ratio": self.l1_ratio,
            "l2_ratio": self.l2_ratio if self.penalty == "elastic" else 0.0,
            "block_rows": self.block_rows,
        }

    def split_free(self, coefs: Float) -> tuple[Float, Float | None, Float]:
        """Split unpenalised coefficients: intercepts, skip connection, blocks of weight zero.

        Rows are columns of the free part, columns are outputs.
        """
        intercepts, skip = np.zeros(self.n_outputs), None
        if self.fit_intercept:
            intercepts, coefs = coefs[0], coefs[1:]
        if self.skip_connection:
            n_features = self.data.shape[1]
            skip, coefs = coefs[:n_features].copy(), coefs[n_features:]
        return intercepts, skip, coefs


def make_problem(
    X: ArrayLike,
    y: ArrayLike,
    n_blocks: int,
    *,
    loss: str | Huber,
    sample_weight: ArrayLike | None,
    weights: ArrayLike | None,
    fit_intercept: bool,
    skip_connection: bool = False,
    penalty: str = "group",
    l1_ratio: float = L1_RATIO,
    l2_ratio: float = L2_RATIO,
    several: bool = False,
    block_rows: int = 0,
) -> Problem:
    """Check the arguments that all programs share; `several` outputs are for some only."""
    if skip_connection:
        refuse_sparse(X, "X", " for skip_connection=True")
    data = check_samples(X)
    n_samples = data.shape[0]
    spec = resolve_loss(loss)
    if check_choice(penalty, "penalty", PENALTIES) in SPARSE_PENALTIES and not several:
        raise ValueError(f"penalty={penalty!r} needs activation='gated_relu'")
    by_feature = penalty == "feature"
    block_weights = check_block_weights(weights, data.shape[1] if by_feature else n_blocks)
    if by_feature and not (block_weights > 0.0).all():
        raise ValueError("weights must be positive for penalty='feature', got a zero")
    return Problem(
        data=data,
        targets=check_targets(
            y, n_samples, labels=spec.labels, shares=spec.shares, several=several
        ),
        omega=check_sample_weight(sample_weight, n_samples),
        loss=spec,
        weights=block_weights,
        fit_intercept=check_flag(fit_intercept, "fit_intercept"),
        skip_connection=check_flag(skip_connection, "skip_connection"),
        penalty=penalty,
        l1_ratio=check_share(l1_ratio, "l1_ratio"),
        l2_ratio=check_share(l2_ratio, "l2_ratio"),
        block_rows=block_rows,
    )


def within_rounding(margins: Float) -> bool:
    """Whether margins of neurons are those of points in cones: none is negative."""
    return bool(margins.min(initial=0.0) >= -_ROUNDING * np.abs(margins).max(initial=0.0))


def same_gates(one: Float | None, other: Float | None) -> bool:
    """Whether two designs have the same gates, or none."""
    if one is None or other is None:
        return one is other
    return np.array_equal(one, other)


def solver_settings(
    *,
    tol: float,
    max_iter: int,
    time_limit: float | None,
    n_threads: int | None,
    screening: bool,
    solver: str,
    callback: Callback | None,
    verbose: int,
) -> dict[str, Any]:
    """Check how to solve, and return it as the core's keyword arguments."""
    return {
        "tol": check_positive(tol, "tol"),
        "max_iter": check_count(max_iter, "max_iter"),
        "time_limit": check_time_limit(time_limit),
        "n_threads": effective_threads(n_threads),
        "screening": check_flag(screening, "screening"),
        "solver": check_choice(solver, "solver", SOLVERS),
        "callback": observer(verbose, callback),
    }


def observer(verbose: int, callback: Callback | None) -> Callable[[dict[str, Any]], bool] | None:
    """Return what the core calls at each gap evaluation: progress line, then user callback."""
    if callback is not None and not callable(callback):
        raise TypeError(f"callback must be callable, got {type(callback).__name__}")
    if verbose == 0 and callback is None:
        return None

    def observe(progress: dict[str, Any]) -> bool:
        info = IterationInfo(**progress)
        if verbose:
            _log.info(
                "alpha %.4g  iter %3d  primal %.10g  dual %.10g  gap %.2e  active %d/%d  %.2f s",
                info.alpha,
                info.iteration,
                info.primal,
                info.dual,
                info.gap,
                info.n_active,
                info.n_working,
                info.elapsed,
            )
        return bool(callback(info)) if callback is not None else False

    return observe


@contextlib.contextmanager
def shown_log(verbose: int) -> Iterator[None]:
    """Let the package's log through for the time of one call: to stderr if nobody listens."""
    if check_verbose(verbose) == 0:
        yield
        return
    level = _log.level
    handler = None if _log.hasHandlers() else logging.StreamHandler(sys.stderr)
    if handler is not None:
        handler.setFormatter(logging.Formatter("cvxnn: %(message)s"))
        _log.addHandler(handler)
    if not _log.isEnabledFor(logging.INFO):
        _log.setLevel(logging.INFO)
    try:
        yield
    finally:
        _log.setLevel(level)
        if handler is not None:
            _log.removeHandler(handler)

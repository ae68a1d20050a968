"""What a solve returns: plain numbers and arrays, and the certificate."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from cvxnn._validation import Float
from cvxnn.arrangements import PatternSet
from cvxnn.network import Network

_RANK = 1e-12  # relative size of a singular value that counts
_LARGEST = 0.99  # of the largest: equal but for rounding, as the outputs of two classes are
# Norms of a block, for one output the same one, and weight decay of neurons.
WEIGHT_DECAYS = ("group", "nuclear", "columns")
# They make zeros inside blocks, and even for one output are no weight decay of neurons.
SPARSE_PENALTIES = ("sparse_group", "feature")


class ConvergenceWarning(UserWarning):
    """A solve stopped before its duality gap reached the tolerance."""


@dataclass(frozen=True)
class IterationInfo:
    """What a callback sees at each evaluation of the duality gap.

    Attributes
    ----------
    iteration : int
        Outer iteration, from 1.
    primal, dual, gap : float
        Objective, best lower bound so far, and their difference.
    n_active, n_working : int
        Non-zero blocks, and blocks in the working set.
    alpha : float
        Regularisation strength of this solve.
    elapsed : float
        Seconds since the call began.
    """

    iteration: int
    primal: float
    dual: float
    gap: float
    n_active: int
    n_working: int
    alpha: float
    elapsed: float


@dataclass(frozen=True)
class Certified:
    """A solution and its certificate.

    The bound covers every network over the given blocks (for patterns: every gated network whose
    gates produce one of the given patterns). The certificate is recomputed at exit, in float64, by
    code that the solver does not use.

    Attributes
    ----------
    status : str
        ``optimal`` (the gap is at most ``tol * primal``), ``max_iter``, ``time_limit``,
        ``callback``, ``stalled`` (float64 allows no further progress) or ``numerical_error``.
    alpha : float
        Regularisation strength.
    primal : float
        Objective of the returned solution.
    dual : float
        Lower bound of the optimum: no feasible solution has an objective below it.
    gap : float
        ``primal - dual``.
    n_iter, n_epochs : int
        Outer iterations, and passes of the inner solver over its working set.
    seconds : float
        Wall time.
    theta : ndarray of shape (n_samples,) or (n_samples, n_outputs), float64
        The dual feasible point that gives the lower bound.
    trace : list of IterationInfo
        One entry for each evaluation of the gap inside the solver.
    exact : bool
        Whether the bound is a proof. It is not where a neuron of several outputs, with ReLU, was
        searched for from many starts only: then one that was missed may let optima be lower.
    """

    status: str
    alpha: float
    primal: float
    dual: float
    gap: float
    n_iter: int
    n_epochs: int
    seconds: float
    theta: Float = field(repr=False)
    trace: list[IterationInfo] = field(repr=False)
    exact: bool = field(default=True, kw_only=True)

    @property
    def gap_rel(self) -> float:
        """``gap / primal``: by how much of itself the objective may exceed the optimum."""
        return self.gap / self.primal if self.primal > 0.0 else 0.0

    def _summary(self, size: str) -> str:
        rows = [
            ("status", self.status),
            ("alpha", f"{self.alpha:.6g}"),
            ("primal", f"{self.primal:.12g}"),
            ("dual", f"{self.dual:.12g}"),
            ("relative gap", f"{self.gap_rel:.2e}"),
            ("active", size),
            ("iterations", f"{self.n_iter} ({self.n_epochs} epochs)"),
            ("seconds", f"{self.seconds:.3g}"),
        ]
        return "\n".join(f"{key:<13} {value}" for key, value in rows)


@dataclass(frozen=True)
class SolveResult(Certified):
    """The solution of a program over activation patterns; see `Certified` for its certificate.

    Attributes
    ----------
    active_set : ndarray of shape (n_active,), int64
        Indices into the patterns of the non-zero blocks, ascending; for ``relu`` a pattern may have
        two, and with several outputs one for each of its neurons.
    signs : ndarray of shape (n_active,), int64
        Sign of each block's output weight, of several of the first that is about the largest: 1,
        or for ``relu`` 1 or -1.
    blocks : ndarray of shape (n_active, n_features), float64
        Block ``blocks[j]`` belongs to pattern ``active_set[j]``; times its sign it adds to the fit.
        With several outputs of shape (n_active, n_features, n_outputs), for ``relu`` of rank one.
    intercept : float or ndarray of shape (n_outputs,)
        Unpenalised output intercept, 0 if none was fitted.
    skip : ndarray of shape (n_features,) or (n_features, n_outputs), or None
        Unpenalised linear skip connection.
    weights : ndarray of shape (n_patterns,), or (n_features,) for the penalty ``feature``
        Penalty weight of each pattern's block, or of each feature.
    patterns : PatternSet
        The patterns of the program.
    activation : str
        ``gated_relu`` or ``relu``.
    penalty : str
        ``group``, ``nuclear`` or ``columns``, the same for one output; ``sparse_group``,
        ``feature`` or ``elastic``.
    l1_ratio, l2_ratio : float
        Share of the entries in ``sparse_group``, and of the squares in ``elastic``.
    """

    active_set: NDArray[np.int64]
    signs: NDArray[np.int64] = field(repr=False)
    blocks: Float = field(repr=False)
    intercept: float | Float
    skip: Float | None = field(repr=False)
    weights: Float = field(repr=False)
    patterns: PatternSet
    activation: str
    penalty: str = "group"
    l1_ratio: float = 0.0
    l2_ratio: float = 0.0

    @property
    def active_features(self) -> NDArray[np.int64]:
        """Indices of the features that some block uses: all, but for the sparse penalties."""
        rows = self.blocks.reshape(self.n_active, self.patterns.n_features, -1)
        return np.flatnonzero(rows.any(axis=(0, 2)))

    @property
    def n_active(self) -> int:
        """Number of non-zero blocks."""
        return len(self.active_set)

    def network(self) -> Network:
        """Return the network of this solution.

        Block W of pattern p becomes one neuron with hidden weights ``W / sqrt(||W||)``, output
        weight ``sqrt(||W||)`` with the block's sign and, if gated, the pattern's gate: the balanced
        scaling, at which weight decay on the network equals the penalty of the convex program.

        With several outputs a block becomes one neuron for each of its singular values s, with
        hidden weights ``sqrt(s) u`` and output weights ``sqrt(s) v``: their weight decay is its
        nuclear norm, the penalty for ``penalty="nuclear"``. For ``"group"`` the penalty is less.
        For ``relu`` blocks have rank one, and hidden weights are in the pattern's cone.
        For ``"columns"`` each column becomes a neuron, and weight decay is the penalty. So it does
        for ``"sparse_group"`` and ``"feature"``, to keep their zeros; their penalties are no weight
        decay. Nor is ``"elastic"``, of which blocks become the neurons of ``"group"``.

        Returns
        -------
        Network

        References
        ----------
        A. Mishkin, A. Sahiner, M. Pilanci (2022), Fast convex optimization for two-layer ReLU
        networks, ICML, section 2; A. Sahiner, T. Ergen, J. Pauly, M. Pilanci (2021), Vector-output
        ReLU neural network problems are copositive programs, ICLR, section 3.

        Examples
        --------
        >>> import cvxnn, numpy as np
        >>> X = np.random.default_rng(0).standard_normal((30, 4))
        >>> y = np.abs(X[:, 0])
        >>> patterns = cvxnn.activation_patterns(X, cvxnn.sample_gates(4, 50, random_state=0))
        >>> result = cvxnn.solve(X, y, patterns, alpha=0.01)
        >>> net = result.network()
        >>> bool(np.isclose(net.objective(X, y, alpha=0.01), result.primal, rtol=1e-9))
        True
        """
        hidden, output, owner = self.hidden_and_output()
        gated = self.activation == "gated_relu"
        n_outputs = output.shape[1]
        return Network(
            [hidden, output],
            [np.zeros(len(owner)), np.reshape(self.intercept, n_outputs)],
            activation=self.activation,
            gates=self.patterns.gates[:, self.active_set[owner]] if gated else None,
            skip=None if self.skip is None else self.skip.reshape(-1, n_outputs),
            penalty_weights=(
                None if self.penalty == "feature" else self.weights[self.active_set[owner]]
            ),
        )

    def hidden_and_output(self) -> tuple[Float, Float, NDArray[np.int64]]:
        """Return hidden weights (d, m), output weights (m, c), and each neuron's block."""
        if self.blocks.ndim == 2:
            scale = np.sqrt(np.linalg.norm(self.blocks, axis=1))
            shape = self.blocks.T.shape
            hidden = np.divide(self.blocks.T, scale, out=np.zeros(shape), where=scale > 0)
            return hidden, (self.signs * scale)[:, None], np.arange(len(scale))
        if self.penalty in ("columns", *SPARSE_PENALTIES):
            owner, column = np.nonzero(self.blocks.any(axis=1))
            vectors = self.blocks[owner, :, column].T
            scale = np.sqrt(np.linalg.norm(vectors, axis=0))
            feeds = column[:, None] == np.arange(self.blocks.shape[2])
            return vectors / scale, scale[:, None] * feeds, owner
        hidden, output, owner = balanced_factors(self.blocks)
        return hidden.T, self.signs[owner, None] * output, owner

    def __str__(self) -> str:
        return self._summary(f"{self.n_active} of {self.patterns.n_patterns} patterns")


@dataclass(frozen=True)
class GroupLassoResult(Certified):
    """The solution of an ordinary group lasso; see `Certified` for its certificate.

    Attributes
    ----------
    coef : ndarray of shape (n_features,), float64
        Coefficients.
    intercept : float
        Unpenalised intercept, 0 if none was fitted.
    active_set : ndarray of shape (n_active,), int64
        Indices of the non-zero groups, ascending.
    """

    coef: Float = field(repr=False)
    intercept: float
    active_set: NDArray[np.int64]

    def __str__(self) -> str:
        return self._summary(f"{len(self.active_set)} groups")


@dataclass(frozen=True)
class PathResult(Sequence[SolveResult]):
    """A regularisation path: a sequence of `SolveResult`, from the largest alpha to the smallest.

    Attributes
    ----------
    results : list of SolveResult
        One for each alpha that was reached.
    alphas : ndarray of shape (n_alphas,), float64
        The regularisation strengths, descending.
    """

    results: list[SolveResult] = field(repr=False)

    @property
    def alphas(self) -> Float:
        """Regularisation strengths, descending."""
        return np.array([result.alpha for result in self.results])

    @overload
    def __getitem__(self, index: int) -> SolveResult: ...
    @overload
    def __getitem__(self, index: slice) -> "PathResult": ...
    def __getitem__(self, index: int | slice) -> "SolveResult | PathResult":
        found = self.results[index]
        return PathResult(found) if isinstance(found, list) else found

    def __len__(self) -> int:
        return len(self.results)

    def __iter__(self) -> Iterator[SolveResult]:
        return iter(self.results)

    def __str__(self) -> str:
        head = f"{'alpha':>12} {'primal':>14} {'gap_rel':>9} {'active':>7}  status"
        rows = [
            f"{r.alpha:12.5g} {r.primal:14.8g} {r.gap_rel:9.1e} {r.n_active:7d}  {r.status}"
            for r in self.results
        ]
        return "\n".join([head, *rows])


def output_signs(outputs: Float) -> NDArray[np.int64]:
    """Return of output weights (m, q) the signs of the first that are about the largest."""
    size = np.abs(outputs)
    first = (size >= _LARGEST * size.max(axis=1, keepdims=True)).argmax(axis=1)
    return np.where(outputs[np.arange(len(outputs)), first] < 0.0, -1, 1)


def balanced_factors(blocks: Float) -> tuple[Float, Float, NDArray[np.int64]]:
    """Split blocks (k, p, q) by their singular values s: factors sqrt(s) u and sqrt(s) v.

    Returns factors (m, p) and (m, q), the latter with `output_signs` of one, and the block (m,) of
    each pair.
    """
    left, values, right = np.linalg.svd(blocks, full_matrices=False)
    owner, rank = np.nonzero(values > _RANK * values.max(axis=1, initial=0.0, keepdims=True))
    output = right[owner, rank]
    scale = np.sqrt(values[owner, rank])[:, None]
    signs = output_signs(output)[:, None]
    return left[owner, :, rank] * scale * signs, output * scale * signs, owner


def check_one_output(result: SolveResult) -> None:
    """Refuse what is no `SolveResult`, those of several outputs, and penalties that are no norm."""
    if not isinstance(result, SolveResult):
        raise TypeError(f"result must be a SolveResult, got {type(result).__name__}")
    if result.blocks.ndim != 2:
        raise ValueError(f"result must have one output, got {result.blocks.shape[2]}")
    if result.penalty not in WEIGHT_DECAYS:
        raise ValueError(f"result must have penalty 'group', got {result.penalty!r}")


def certified_fields(solution: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of `Certified` from what the core returns."""
    names = ("status", "alpha", "primal", "dual", "gap", "n_iter", "n_epochs", "seconds")
    fields = {name: solution[name] for name in names}
    theta = solution["theta"]
    fields["theta"] = theta[:, 0] if theta.shape[1] == 1 else theta
    fields["trace"] = [IterationInfo(**info) for info in solution["trace"]]
    fields["exact"] = solution.get("exact", True)
    return fields


def warn_unless_optimal(results: Sequence[Certified], tol: float) -> None:
    """Warn of the first result that missed the tolerance without being asked to stop."""
    for result in results:
        if result.status in ("optimal", "callback"):
            continue
        warnings.warn(
            f"solve ended with status {result.status!r} at alpha={result.alpha:.6g}: relative gap "
            f"{result.gap_rel:.2e}, asked for {tol:.2e}. The solution is usable and its gap holds; "
            "a larger alpha, max_iter, time_limit or tol would let it finish.",
            ConvergenceWarning,
            stacklevel=3,
        )
        return

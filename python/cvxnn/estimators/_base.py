"""What estimators of tables share: check, make the programs, solve, keep the network."""

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_consistent_length, check_is_fitted, validate_data

from cvxnn._adaptive import AdaptiveProgram
from cvxnn._normalised_outputs import normalised_outputs
from cvxnn._problem import PENALTIES, make_problem
from cvxnn._programs import ACTIVATIONS, PatternProgram
from cvxnn._validation import (
    Float,
    Samples,
    check_choice,
    check_data,
    check_gates,
    check_raw_weight,
    check_samples,
    check_share,
    is_sparse,
    named,
    refuse_masked,
    refuse_sparse,
)
from cvxnn._whitening import Whitener, check_bn_rank
from cvxnn.arrangements import (
    PatternSet,
    RandomState,
    activation_patterns,
    generator,
    sample_gates,
)
from cvxnn.enumeration import enumerate_patterns
from cvxnn.estimators._certified import CertifiedEstimator
from cvxnn.estimators._columns import Columns, InputMap, Standardizer, TableColumns
from cvxnn.gate_samplers import (
    sample_convolutional_gates,
    sample_quantile_gates,
    sample_sparse_gates,
)
from cvxnn.losses import Huber
from cvxnn.results import SPARSE_PENALTIES

Gates: TypeAlias = ArrayLike | Callable[[Samples, int, np.random.Generator], ArrayLike] | None

_SAMPLERS = ("feature_sparse", "gaussian", "quantile", "convolutional")
_PLACEMENTS = ("before", "after")  # of batch normalisation; True is the first
_ORDER = 2  # of gates="feature_sparse"
_PATCH = 3  # height and width, of gates="convolutional"
_MOST_DENSE = 50_000_000  # entries of a sparse X, zeros too, that is made dense
_STARTS = 100  # of a round of patterns="adaptive"

_DATA_OPTIONS: dict[str, Any] = {
    "dtype": [np.float64, np.float32],
    "order": "C",
    "accept_sparse": "csr",
}


def _check_dense_size(X: Samples) -> None:
    """Refuse what is too large to be made dense."""
    if is_sparse(X) and math.prod(X.shape) > _MOST_DENSE:
        raise ValueError(
            "activation='relu' makes a sparse X dense, which must have at most "
            f"{_MOST_DENSE:,} entries then, zeros too, got shape {X.shape}: take fewer columns, or "
            "activation='gated_relu', which keeps it sparse"
        )


class ReLUEstimator(ClassNamePrefixFeaturesOutMixin, TransformerMixin, CertifiedEstimator):
    """Parameters that estimators of tables share, and the steps of their fits."""

    gates: Gates

    def __init__(
        self,
        *,
        activation: str,
        loss: str | Huber,
        penalty: str | None,
        l1_ratio: float,
        l2_ratio: float,
        patterns: str,
        n_patterns: int | Sequence[int],
        gates: Gates,
        fit_intercept: bool,
        standardize: bool,
        batch_norm: bool | str,
        bn_rank: float | None,
        tol: float,
        max_iter: int,
        time_limit: float | None,
        n_threads: int | None,
        random_state: RandomState,
        verbose: int,
    ) -> None:
        super().__init__(
            activation=activation,
            loss=loss,
            penalty=penalty,
            n_patterns=n_patterns,
            gates=gates,
            fit_intercept=fit_intercept,
            standardize=standardize,
            tol=tol,
            max_iter=max_iter,
            time_limit=time_limit,
            n_threads=n_threads,
            random_state=random_state,
            verbose=verbose,
        )
        self.l1_ratio = l1_ratio
        self.l2_ratio = l2_ratio
        self.patterns = patterns
        self.batch_norm = batch_norm
        self.bn_rank = bn_rank

    def _check_parameters(self) -> None:
        check_choice(self.activation, "activation", ACTIVATIONS)
        self._check_shared()
        check_choice(self.patterns, "patterns", ("sample", "exact", "adaptive"))
        if self.patterns != "sample" and self.gates is not None:
            raise ValueError(f"gates belong to patterns='sample', got {self.patterns!r}")
        if isinstance(self.gates, str):
            check_choice(self.gates, "gates", _SAMPLERS)
        if isinstance(self.gates, str) and self.gates == "quantile" and not self._hidden_bias:
            raise ValueError(
                "gates='quantile' are made by their bias: they need fit_intercept=True"
            )
        if self.patterns == "adaptive" and self.activation != "relu":
            raise ValueError("patterns='adaptive' needs activation='relu'")
        if self.penalty is not None:
            check_choice(self.penalty, "penalty", PENALTIES)
        check_share(self.l1_ratio, "l1_ratio")
        check_share(self.l2_ratio, "l2_ratio")
        self._check_batch_norm()
        if self.penalty == "elastic" and self.patterns == "adaptive":
            raise ValueError("penalty='elastic' needs patterns='sample' or 'exact', got 'adaptive'")
        if self._joint and self.activation == "relu":
            self._check_joint_penalty()
        self._pattern_counts()

    def _check_joint_penalty(self) -> None:
        if self._penalty != "nuclear":
            raise ValueError(
                f"penalty={self.penalty!r} needs activation='gated_relu'; for 'relu' it must be "
                + (
                    "None or 'nuclear'"
                    if self.loss == "softmax"
                    else "None, 'nuclear' or 'elastic'"
                )
            )

    def _check_batch_norm(self) -> None:
        if not isinstance(self.batch_norm, (bool, np.bool_)):
            check_choice(self.batch_norm, "batch_norm", _PLACEMENTS)
        check_bn_rank(self.bn_rank, self._placement)
        if self._placement is not None and self.penalty in SPARSE_PENALTIES:
            raise ValueError(
                f"penalty={self.penalty!r} makes zeros of features, which batch_norm mixes: "
                "take another penalty"
            )
        if isinstance(self.gates, str) and self.gates == "convolutional" and self._placement:
            raise ValueError(
                "gates='convolutional' look at pixels, which batch_norm mixes: take other gates"
            )
        if self._placement == "after" and self.patterns == "adaptive":
            raise ValueError(
                "batch_norm='after' needs patterns='sample' or 'exact', got 'adaptive'"
            )

    @property
    def _joint(self) -> bool:
        """Whether all outputs are fitted at once.

        The elastic penalty of ReLU networks is for one output, and then fits one after the other.
        """
        alone = self.activation == "relu" and self.penalty == "elastic" and self.loss != "softmax"
        return super()._joint and not alone

    @property
    def _placement(self) -> str | None:
        """Where batch normalisation is, if anywhere."""
        if isinstance(self.batch_norm, str):
            return self.batch_norm
        return "before" if self.batch_norm else None

    @property
    def _hidden_bias(self) -> bool:
        """Whether neurons have a bias; with batch normalisation it is its shift."""
        return bool(self.fit_intercept or self._placement == "before")

    def _given_gates(self) -> str | None:
        if self.patterns != "sample":
            return f"patterns={self.patterns!r}"
        sampled = isinstance(self.gates, str) or callable(self.gates)
        return None if sampled else super()._given_gates()

    @property
    def _penalty(self) -> str:
        if self.penalty is not None:
            return self.penalty
        return "nuclear" if self._joint and self.activation == "relu" else "group"

    def _check_training(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None
    ) -> tuple[Samples, NDArray[Any], Float]:
        """Check parameters and data; return X, y and weights as arrays, sparse X as csr_array."""
        self._check_parameters()
        values = self._checked_targets(y)
        data = self._validated(X, reset=True)
        with named("y"):
            check_consistent_length(data, values)
        if self.activation == "relu":
            _check_dense_size(data)
        elif self.patterns == "exact":
            refuse_sparse(data, "X", " for patterns='exact'")
        if self._placement is not None:
            refuse_sparse(data, "X", f" for batch_norm={self.batch_norm!r}")
        data = check_samples(data)
        return data, values, check_raw_weight(sample_weight, data.shape[0])

    def _make_patterns(
        self, data: Samples, random_state: RandomState, n_patterns: int | None
    ) -> PatternSet:
        if self.patterns == "exact":
            return enumerate_patterns(data, n_threads=self.n_threads)
        gates = self._make_gates(data, max(self._pattern_counts()), random_state)
        if n_patterns is not None:
            gates = np.asarray(gates)[:, :n_patterns]
        return activation_patterns(data, gates, n_threads=self.n_threads)

    @property
    def _default_sampler(self) -> str:
        """What gates=None samples.

        Gates on few features are for weights that are free of them, and for features that mean
        something alone: a ReLU neuron stays in the cone of its gate, whitened inputs are mixed.
        """
        free = self.activation == "gated_relu" and self._placement is None
        return "feature_sparse" if free else "gaussian"

    def _make_gates(self, data: Samples, n_gates: int, random_state: RandomState) -> ArrayLike:
        """Return own gates, or `n_gates` that are sampled on standardised data."""
        sampler = self._default_sampler if self.gates is None else self.gates
        if isinstance(sampler, str):
            return self._sampled_gates(sampler, data, n_gates, random_state)
        if not callable(sampler):
            return sampler
        gates = check_gates(sampler(data, n_gates, generator(random_state)), data.shape[1])
        if gates.shape[1] != n_gates:
            raise ValueError(
                f"gates must return as many gates as it is asked for, {n_gates}, "
                f"got {gates.shape[1]}"
            )
        return gates

    def _sampled_gates(
        self, sampler: str, data: Samples, n_gates: int, random_state: RandomState
    ) -> Float:
        n_features, bias = data.shape[1] - self._hidden_bias, self._hidden_bias
        if sampler == "gaussian":
            return sample_gates(data.shape[1], n_gates, random_state=random_state)
        if sampler == "quantile":
            return sample_quantile_gates(data[:, :n_features], n_gates, random_state=random_state)
        if sampler == "feature_sparse":
            order = min(_ORDER, n_features)
            return sample_sparse_gates(
                n_features, n_gates, order=order, bias=bias, random_state=random_state
            )
        side = math.isqrt(n_features)
        if side**2 != n_features:
            raise ValueError(
                "gates='convolutional' are for square images of one channel, X has "
                f"{n_features} features: for others give a function that calls "
                "sample_convolutional_gates"
            )
        return sample_convolutional_gates(
            (side, side),
            n_gates,
            patch_size=min(_PATCH, side),
            bias=bias,
            random_state=random_state,
        )

    def _columns(
        self,
        X: Samples,
        y: NDArray[Any],
        weight: Float,
        random_state: RandomState,
        n_patterns: int | None = None,
    ) -> Columns:
        """Return the programs of checked data, over the first `n_patterns` gates or all."""
        X, targets, weight, target_map = self._encode(X, y, weight)
        input_map = self._input_map(X, weight)
        data: Samples = input_map.transform(X, constant_column=self._hidden_bias)
        if self.activation == "relu" and is_sparse(data):
            data = data.toarray()  # projections on cones mix all features
        adaptive = self.patterns == "adaptive"
        patterns = None if adaptive else self._make_patterns(data, random_state, n_patterns)
        parts = [targets] if self._joint else targets.T
        programs = self._programs(data, parts, weight, patterns, random_state)
        return TableColumns(programs, target_map, input_map)

    def _programs(
        self,
        data: Samples,
        parts: Sequence[Float] | Float,
        weight: Float,
        patterns: PatternSet | None,
        random_state: RandomState,
    ) -> Sequence[Any]:
        """Return a program for each part of the targets, over patterns or none yet."""
        options: dict[str, Any] = {
            "loss": self.loss,
            "sample_weight": weight,
            "fit_intercept": self.fit_intercept,
            "penalty": self._penalty,
            "l1_ratio": self.l1_ratio,
            "l2_ratio": self.l2_ratio,
        }
        if patterns is not None and self._placement == "after":
            relu = self.activation == "relu"
            outputs = normalised_outputs(data, weight, patterns, self.bn_rank, relu=relu)
            return [outputs.program(part, **options) for part in parts]
        n_blocks = 1 if patterns is None else patterns.n_patterns
        problems = [
            make_problem(data, part, n_blocks, weights=None, several=True, **options)
            for part in parts
        ]
        if patterns is not None:
            return [PatternProgram(problem, patterns, self.activation) for problem in problems]
        return [
            AdaptiveProgram(
                problem, n_starts=_STARTS, random_state=random_state, n_threads=self.n_threads
            )
            for problem in problems
        ]

    def _input_map(self, X: Samples, weight: Float) -> InputMap:
        if self._placement == "before":
            return Whitener(X, weight, scale=self.standardize, rank=self.bn_rank)
        center = self.standardize and self.fit_intercept and not is_sparse(X)
        return Standardizer(X, weight, center=center, scale=self.standardize)

    def _keep(self, columns: Columns, results: Sequence[Any]) -> None:
        super()._keep(columns, results)
        self.batch_norm_ = columns.normalised(results)
        self.coefs_ = self.network_.coefs_
        self.intercepts_ = self.network_.intercepts_
        self.gates_ = self.network_.gates_

    def _validated(self, X: ArrayLike, *, reset: bool = False) -> Samples:
        """Return X as scikit-learn does, for a fit or as in the last one."""
        refuse_masked(X, "X")
        with named("X"):
            if getattr(X, "ndim", 2) > 2:
                check_data(X)  # says how to flatten them
            return validate_data(self, X, reset=reset, **_DATA_OPTIONS)

    def _outputs(self, X: ArrayLike) -> Float:
        check_is_fitted(self)
        data = self._validated(X)
        outputs: Float = self.network_.predict(data, n_threads=self.n_threads)
        return outputs

    def transform(self, X: ArrayLike) -> Float:
        """Return the outputs of the hidden neurons.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Inputs.

        Returns
        -------
        ndarray of shape (n_samples, n_neurons), float64
            Times ``coefs_[1]``, plus ``intercepts_[1]``, these are the outputs of the network.
        """
        check_is_fitted(self)
        data = check_samples(self._validated(X))  # of magnitudes that products hold
        network = self.network_
        hidden: Float = data @ network.coefs_[0] + network.intercepts_[0]
        if network.gates_ is None or network.gate_intercepts_ is None:
            return np.maximum(hidden, 0.0)
        return np.where(data @ network.gates_ + network.gate_intercepts_ > 0.0, hidden, 0.0)

    @property
    def _n_features_out(self) -> int:
        return int(self.network_.width)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        by_rows = self.activation == "relu" or self.patterns == "sample"
        tags.input_tags.sparse = by_rows and self._placement is None
        return tags

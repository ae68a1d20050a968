"""Convex programs of the columns of targets: standardised inputs in, a network on raw ones out."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import block_diag
from scipy.sparse import csr_array, hstack, issparse

from cvxnn._normalised_outputs import NormalisedResult
from cvxnn._validation import Float, Samples
from cvxnn._whitening import Whitener
from cvxnn.batch_norm import BatchNormNetwork, normalised_network
from cvxnn.network import Network


def canonical_rows(X: Samples, targets: Float, weight: Float) -> tuple[Samples, Float, Float]:
    """Sort the rows, add up the weights of equal ones and drop those of weight zero.

    Row order, and repetition against weights, then cannot change even the last bit of a model.
    """
    kept = weight > 0.0
    X, targets, weight = X[kept], np.ascontiguousarray(targets[kept]), weight[kept]
    order = np.argsort(weight, kind="stable")  # of a sum of weights
    X, targets, weight = X[order], targets[order], weight[order]
    if issparse(X):
        X.eliminate_zeros()
        keys = _sparse_keys(X, targets)
    else:
        X = X + X.dtype.type(0)  # -0.0 becomes 0.0
        octets = np.hstack([X.view(np.uint8), targets.view(np.uint8)])
        keys = octets.view(f"V{octets.shape[1]}")[:, 0]
    _, first, group = np.unique(keys, return_index=True, return_inverse=True)
    merged = np.asarray(np.bincount(group, weights=weight), dtype=np.float64)
    return X[first], targets[first], merged


def _sparse_keys(X: Samples, targets: Float) -> NDArray[np.object_]:
    """Return bytes that tell rows and their targets apart."""
    keys = np.empty(X.shape[0], dtype=object)
    for i, target in enumerate(targets):
        row = slice(X.indptr[i], X.indptr[i + 1])
        keys[i] = X.indices[row].tobytes() + X.data[row].tobytes() + target.tobytes()
    return keys


def _mean_squares(values: Samples, share: Float, mean: Float) -> Float:
    """Return the weighted mean squares of what columns differ from their means by."""
    if not issparse(values):
        return np.asarray(share @ (values - mean) ** 2, dtype=np.float64)
    n_samples, n_columns = values.shape
    column, weight = values.indices, np.repeat(share, np.diff(values.indptr))
    squares = weight * (values.data - mean[column]) ** 2
    rest = 1.0 - np.bincount(column, weight, n_columns)  # the share of the zeros
    rest[np.bincount(column, minlength=n_columns) == n_samples] = 0.0  # not its rounding
    squares = np.bincount(column, squares, n_columns) + np.maximum(rest, 0.0) * mean**2
    return np.asarray(squares, dtype=np.float64)


class Standardizer:
    """The map ``(x - mean) / scale``, by weighted moments; constant columns keep scale one.

    Sparse values cannot be centred.
    """

    def __init__(self, values: Samples, weight: Float, *, center: bool, scale: bool) -> None:
        share = weight / weight.sum()
        n_columns = values.shape[1]
        mean = share @ values
        deviation = np.sqrt(_mean_squares(values, share, mean)) if scale else np.ones(n_columns)
        # Below rounding of the mean a deviation is noise, not spread.
        spread = deviation > 10 * np.finfo(values.dtype).eps * np.abs(mean)
        self.mean = mean if center else np.zeros(n_columns)
        self.scale = np.where(spread & (deviation > 0), deviation, 1.0)

    @property
    def n_columns(self) -> int:
        """Number of columns of the mapped values."""
        return len(self.mean)

    def transform(self, values: Samples, *, constant_column: bool) -> Samples:
        """Return the mapped values, with a column of ones after them if wanted."""
        n_samples, n_columns = values.shape
        if issparse(values):
            scaled = (values.data / self.scale[values.indices]).astype(values.dtype)
            mapped = csr_array((scaled, values.indices, values.indptr), shape=values.shape)
            ones = csr_array(np.ones((n_samples, 1), dtype=values.dtype))
            return hstack([mapped, ones], format="csr") if constant_column else mapped
        out = np.ones((n_samples, n_columns + constant_column), dtype=values.dtype)
        out[:, :n_columns] = (values - self.mean) / self.scale
        return out

    def fold(self, vectors: Float, *, constant_row: bool) -> tuple[Float, Float]:
        """Turn weights on mapped values into weights and offsets on the values themselves."""
        n_columns = self.n_columns
        weights = vectors[:n_columns] / self.scale[:, None]
        offsets = -(self.mean @ weights)
        return weights, offsets + vectors[n_columns] if constant_row else offsets


InputMap: TypeAlias = Standardizer | Whitener


@dataclass(frozen=True)
class Columns(ABC):
    """The programs of all columns of targets, and the map that undoes their standardisation.

    One a column, or one for all where they share their neurons. A program has `alpha_max`, `solve`
    and `can_start_from`.
    """

    programs: Sequence[Any]
    target_map: Standardizer

    def alpha_max(self, n_threads: int | None) -> float:
        """Return the smallest alpha at which every network is empty."""
        return max(float(program.alpha_max(n_threads)) for program in self.programs)

    def solve(
        self,
        alphas: Sequence[float] | Float,
        starts: Sequence[Any],  # of what the programs can start from
        **settings: Any,
    ) -> list[tuple[Any, ...]]:
        """Return one result a column for each alpha, as far as all columns got."""
        paths = [
            program.solve(alphas, init=start, screening=True, solver="auto", **settings)
            for program, start in zip(self.programs, starts, strict=True)
        ]
        return list(zip(*paths, strict=False))

    def starts_from(self, results: Sequence[Any]) -> Sequence[Any]:
        """Return earlier results to start from, or None a column unless they all fit."""
        fit = len(results) == len(self.programs) and all(
            program.can_start_from(result)
            for program, result in zip(self.programs, results, strict=True)
        )
        return results if fit else [None] * len(self.programs)

    @abstractmethod
    def network(self, results: Sequence[Any]) -> Any:
        """Return one network on raw inputs: neurons side by side, feeding their own outputs."""

    @abstractmethod
    def normalised(self, results: Sequence[Any]) -> BatchNormNetwork | None:
        """Return the same network with its batch normalisation, None if it has none."""

    @abstractmethod
    def n_patterns(self, results: Sequence[Any]) -> int:
        """Return the number of blocks of a program, the most over columns."""


@dataclass(frozen=True)
class TableColumns(Columns):
    """Programs over the same patterns of a table.

    Their inputs end in a column of ones where neurons have a bias.
    """

    input_map: InputMap

    def network(self, results: Sequence[Any]) -> Network:
        """Return one network on raw inputs: neurons side by side, feeding their own outputs."""
        return self._on_raw_inputs([result.network() for result in results])

    def n_patterns(self, results: Sequence[Any]) -> int:
        """Return the number of patterns, the most over columns: generated ones may differ."""
        return max(int(result.patterns.n_patterns) for result in results)

    def normalised(self, results: Sequence[Any]) -> BatchNormNetwork | None:
        """Return the same network with its batch normalisation, None if it has none."""
        if isinstance(self.input_map, Whitener):
            networks = [result.network() for result in results]
            hidden, output, bias, kind = self._side_by_side(networks)
            return normalised_network(self.input_map, hidden, output, bias, **kind)
        parts = [result.normalised() for result in results if isinstance(result, NormalisedResult)]
        if not parts:
            return None
        return BatchNormNetwork(
            self._on_raw_inputs([p.layers for p in parts if isinstance(p.layers, Network)]),
            gamma=np.concatenate([part.gamma for part in parts]),
            beta=np.concatenate([part.beta for part in parts]),
            running_mean=np.concatenate([part.running_mean for part in parts]),
            running_var=np.concatenate([part.running_var for part in parts]),
            placement="after",
        )

    def _on_raw_inputs(self, networks: Sequence[Network]) -> Network:
        hidden, output, bias, kind = self._side_by_side(networks)
        constant = hidden.shape[0] > self.input_map.n_columns
        weights, offsets = self.input_map.fold(hidden, constant_row=constant)
        return Network([weights, output], [offsets, bias], **kind)

    def _side_by_side(
        self, networks: Sequence[Network]
    ) -> tuple[Float, Float, Float, dict[str, Any]]:
        """Return hidden weights on mapped inputs, output weights and biases, and what gates."""
        hidden = np.hstack([network.coefs_[0] for network in networks])
        output = block_diag(*[network.coefs_[1] for network in networks])
        bias = np.concatenate([network.intercepts_[1] for network in networks])
        kind: dict[str, Any] = {"activation": networks[0].activation}
        if networks[0].gates_ is not None:
            gates = np.hstack([n.gates_ for n in networks if n.gates_ is not None])
            constant = hidden.shape[0] > self.input_map.n_columns
            kind["gates"], kind["gate_intercepts"] = self.input_map.fold(
                gates, constant_row=constant
            )
        scale, mean = self.target_map.scale, self.target_map.mean
        return hidden, output * scale, bias * scale + mean, kind

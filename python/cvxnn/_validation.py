"""The one place that checks and converts arguments. Everything below it may trust them.

Each check raises before any work starts and names the argument, what it got and what it wants.
"""

import contextlib
import numbers
import re
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float = NDArray[np.float64]
Data = NDArray[np.float32] | NDArray[np.float64]
Samples: TypeAlias = Any  # Data, or a csr_array in canonical form: SciPy has no types

SOLVERS = ("auto", "bcd", "fista", "newton", "interior_point")

# Squares and their sums must stay finite, in float32 tables too.
_LARGEST = 1e100
_LARGEST_FLOAT32 = 1e15

_ROUNDING = 1e-9  # of a sum of shares


def is_sparse(value: Any) -> bool:
    """Whether a value is a sparse matrix or array of SciPy."""
    return hasattr(value, "toarray") and hasattr(value, "nnz")


def refuse_sparse(value: Any, name: str, why: str = "") -> None:
    """Raise for a sparse matrix, where nothing but dense data will do."""
    if is_sparse(value):
        raise TypeError(f"{name} must be dense{why}, got a sparse matrix: pass {name}.toarray()")


def refuse_masked(value: Any, name: str) -> None:
    """Raise for masked entries, whose values are anything."""
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise ValueError(f"{name} must not have masked entries: fill or drop them first")


@contextlib.contextmanager
def named(name: str) -> Iterator[None]:
    """Let the errors of scikit-learn's checks of an argument say which one it is."""
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # of casts: the checks see infinity
            yield
    except (ValueError, TypeError, OverflowError) as error:
        if re.search(rf"\b{name}\b", str(error)):
            raise
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{name} is malformed: {error}") from None


def check_numeric(value: ArrayLike, name: str) -> NDArray[Any]:
    """Return a real numeric array of any shape."""
    refuse_sparse(value, name)
    refuse_masked(value, name)
    try:
        array = np.asarray(value)
        if array.dtype.kind in "OUS" or (array.dtype.kind == "f" and array.dtype.itemsize > 8):
            with np.errstate(over="ignore"):  # infinity is what finite checks look for
                array = array.astype(np.float64)
    except (ValueError, TypeError, OverflowError, RuntimeError) as error:  # tensors raise the last
        raise ValueError(f"{name} must be numeric, got {type(value).__name__}: {error}") from None
    if array.dtype.kind == "c":
        raise ValueError(f"{name} must be real, got complex data ({array.dtype})")
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} must be numeric, got dtype {array.dtype}")
    return array


def _check_finite(array: NDArray[Any], name: str) -> None:
    # A sum is one pass without a temporary; it also overflows for values that are merely large.
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(array.sum(dtype=np.float64)):
            return
    finite = np.isfinite(array)
    if not finite.all():
        where = tuple(int(i) for i in np.argwhere(~finite)[0])
        raise ValueError(f"{name} contains NaN or infinity, first at index {where}")


def check_magnitude(array: NDArray[Any], name: str) -> float:
    """Return the largest magnitude of a finite array, of which squares must have room."""
    largest = max(float(array.max()), -float(array.min()))  # not through abs: it would copy
    if largest > _LARGEST:
        raise ValueError(
            f"{name} has entries of magnitude {largest:g}: rescale it below {_LARGEST:g}"
        )
    return largest


def _check_data_shape(shape: tuple[int, ...], name: str) -> None:
    if len(shape) != 2:
        hint = ""
        if len(shape) == 1:
            hint = f": one feature is {name}.reshape(-1, 1), one sample {name}.reshape(1, -1)"
        elif len(shape) > 2:
            hint = f": flatten each sample, {name}.reshape(len({name}), -1)"
        raise ValueError(f"{name} must be 2-D (n_samples, n_features), got shape {shape}{hint}")
    if shape[0] == 0 or shape[1] == 0:
        raise ValueError(f"{name} must have at least one sample and one feature, got shape {shape}")


def _data_dtype(array: NDArray[Any]) -> type[np.floating[Any]]:
    return np.float32 if array.dtype.newbyteorder("=") == np.float32 else np.float64


def check_data(value: ArrayLike, name: str = "X") -> Data:
    """Return data as a C-ordered float array (n_samples, n_features); right ones are not copied."""
    array = check_numeric(value, name)
    _check_data_shape(array.shape, name)
    return _as_data(array, name)


def check_tensor(value: ArrayLike, axes: tuple[str, ...], name: str = "X") -> Data:
    """Return data of more than two dimensions as `check_data` does.

    `axes` are the shapes to choose from, as "n_samples, n_tokens, n_features".
    """
    array = check_numeric(value, name)
    if array.ndim not in [shape.count(",") + 1 for shape in axes]:
        wanted = " or ".join(f"({shape})" for shape in axes)
        raise ValueError(f"{name} must have shape {wanted}, got shape {array.shape}")
    if 0 in array.shape:
        raise ValueError(f"{name} must have no axis of length 0, got shape {array.shape}")
    return _as_data(array, name)


def _as_data(array: NDArray[Any], name: str) -> Data:
    data: Data = np.ascontiguousarray(array, dtype=_data_dtype(array))
    _check_finite(data, name)
    if check_magnitude(data, name) > _LARGEST_FLOAT32:
        data = data.astype(np.float64)
    return data


def check_samples(value: Any, name: str = "X") -> Samples:
    """Return data as `check_data` does, and of a sparse matrix a csr_array in canonical form.

    That is with sorted columns, none twice; values float32 or float64, right ones not copied.
    """
    if not is_sparse(value):
        return check_data(value, name)
    _check_data_shape(value.shape, name)
    if value.shape[1] >= 2**31:
        raise ValueError(f"{name} must have fewer than 2**31 features, got {value.shape[1]}")
    from scipy.sparse import csc_array, csr_array

    if value.format not in ("csr", "csc"):
        value = value.tocsr()
    values = check_numeric(value.data, name)
    values = np.ascontiguousarray(values, dtype=_data_dtype(values))
    kind = csr_array if value.format == "csr" else csc_array
    try:
        rows = kind((values, value.indices, value.indptr), shape=value.shape)
        rows.check_format(full_check=True)  # SciPy and the core trust the indices
    except (ValueError, TypeError) as error:
        raise ValueError(f"{name} must be a valid sparse matrix: {error}") from None
    rows = rows.tocsr()
    if not rows.has_canonical_format:
        rows = rows.copy()  # the caller's indices lie below
        rows.sum_duplicates()
    finite = np.isfinite(rows.data)
    if not finite.all():
        entry = int(np.argmin(finite))
        row = int(np.searchsorted(rows.indptr, entry, side="right")) - 1
        where = (row, int(rows.indices[entry]))
        raise ValueError(f"{name} contains NaN or infinity, first at index {where}")
    if rows.nnz:
        check_magnitude(rows.data, name)
    return rows


def core_form(data: Samples) -> Any:
    """Return checked data as the core takes them: an array, or the parts of a csr_array."""
    if not is_sparse(data):
        return data
    columns = np.ascontiguousarray(data.indices, dtype=np.int32)
    starts = np.ascontiguousarray(data.indptr, dtype=np.int64)
    return data.data, columns, starts, data.shape[1]


def check_vector(value: ArrayLike, name: str, size: int, what: str = "n_samples") -> Float:
    """Return a finite float64 vector of the given size."""
    array = check_numeric(value, name)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1 or array.shape[0] != size:
        raise ValueError(f"{name} must have shape ({what},) = ({size},), got {array.shape}")
    vector = np.ascontiguousarray(array, dtype=np.float64)
    _check_finite(vector, name)
    if size:
        check_magnitude(vector, name)
    return vector


def check_matrix(value: ArrayLike, name: str, shape: tuple[int | None, ...]) -> Float:
    """Return a finite C-ordered float64 array; None in `shape` stands for any size."""
    array = np.ascontiguousarray(check_numeric(value, name), dtype=np.float64)
    fits = array.ndim == len(shape) and all(
        want is None or got == want for got, want in zip(array.shape, shape, strict=True)
    )
    if not fits:
        wanted = ", ".join("any" if want is None else str(want) for want in shape)
        raise ValueError(f"{name} must have shape ({wanted}), got {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} contains NaN or infinity")
    return array


def check_targets(
    value: ArrayLike, n_samples: int, *, labels: bool, shares: bool, several: bool
) -> Float:
    """Return targets (n_samples, n_outputs).

    With `labels` they must be -1 and +1, with `shares` rows of shares of classes. One column
    unless `several` are allowed.
    """
    array = check_numeric(value, "y")
    wide = array.ndim == 2 and array.shape[1] > 1
    if shares and not wide:
        raise ValueError(
            "y must have shape (n_samples, n_classes), shares of two or more classes, for the "
            f"softmax loss, got {array.shape}"
        )
    if not (wide and several):
        return _check_column(array, n_samples, labels)[:, None]
    y = np.column_stack([_check_column(column, n_samples, labels) for column in array.T])
    if shares and ((y < 0.0).any() or (np.abs(y.sum(axis=1) - 1.0) > _ROUNDING).any()):
        raise ValueError("y must hold shares of classes, non-negative with sum one in each row")
    return y


def _check_column(value: ArrayLike, n_samples: int, labels: bool) -> Float:
    y = check_vector(value, "y", n_samples)
    if labels and not np.isin(y, (-1.0, 1.0)).all():
        values = np.unique(y)
        shown = ", ".join(f"{v:g}" for v in values[:5]) + (", ..." if len(values) > 5 else "")
        raise ValueError(f"y must hold -1 and +1 for a classification loss, got {shown}")
    return y


def check_sample_weight(value: ArrayLike | None, n_samples: int) -> Float:
    """Return the weights of the loss, non-negative with sum one."""
    if value is None:
        return np.full(n_samples, 1.0 / n_samples)
    weight = check_raw_weight(value, n_samples)
    share: Float = weight / weight.sum()
    return share


def check_raw_weight(value: ArrayLike | None, n_samples: int) -> Float:
    """Return the same as they are, one for None."""
    if value is None:
        return np.ones(n_samples)
    weight = check_vector(value, "sample_weight", n_samples)
    if (weight < 0).any():
        raise ValueError(f"sample_weight must be non-negative, got {weight.min():g}")
    if not weight.any():
        raise ValueError("sample_weight must have a positive entry, got zeros only")
    return weight


def check_block_weights(value: ArrayLike | None, n_blocks: int) -> Float:
    """Return the penalty weights of blocks, non-negative."""
    if value is None:
        return np.ones(n_blocks)
    weights = check_vector(value, "weights", n_blocks, "n_blocks")
    if (weights < 0).any():
        raise ValueError(f"weights must be non-negative, got {weights.min():g}")
    least = weights.min(initial=np.inf, where=weights > 0)
    if least < 1.0 / _LARGEST:
        raise ValueError(f"weights must be zero or at least {1.0 / _LARGEST:g}, got {least:g}")
    return weights


def check_indices(value: ArrayLike, name: str, size: int) -> NDArray[np.int64]:
    """Return a vector of integers from 0 to `size` - 1, of a mask those where it is true."""
    array = check_numeric(value, name)
    if array.ndim != 1:
        raise ValueError(f"{name} must be 1-D, got shape {array.shape}")
    if array.dtype.kind == "b" and len(array) == size:
        return np.flatnonzero(array)
    strange = array[~((array >= 0) & (array < size) & (array == np.floor(array)))]
    if len(strange):
        raise ValueError(f"{name} must be integers from 0 to {size - 1}, got {strange[0]}")
    return array.astype(np.int64)


def check_layers(value: Sequence[ArrayLike], name: str) -> tuple[ArrayLike, ArrayLike]:
    """Return the arrays of the two layers of a network."""
    try:
        layers = tuple(value)
    except TypeError:
        raise TypeError(
            f"{name} must be a sequence of two arrays, got {type(value).__name__}"
        ) from None
    if len(layers) != 2:
        raise ValueError(f"{name} must hold two arrays, one a layer, got {len(layers)}")
    return layers


def check_gates(value: ArrayLike, n_features: int) -> Float:
    """Return gates as a C-ordered float64 array (n_features, n_gates)."""
    array = check_numeric(value, "gates")
    if array.ndim != 2 or array.shape[0] != n_features or array.shape[1] == 0:
        raise ValueError(
            f"gates must have shape (n_features, n_gates) = ({n_features}, >= 1), got {array.shape}"
        )
    gates = np.ascontiguousarray(array, dtype=np.float64)
    _check_finite(gates, "gates")
    check_magnitude(gates, "gates")
    return gates


def _check_number(value: float, name: str) -> float:
    real = isinstance(value, (numbers.Real, np.integer, np.floating))
    if isinstance(value, (bool, np.bool_)) or not real:
        raise TypeError(f"{name} must be a number, got {type(value).__name__}")
    try:
        return float(value)
    except OverflowError:
        return np.inf


def check_flag(value: bool, name: str) -> bool:
    """Return True or False."""
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    raise TypeError(f"{name} must be True or False, got {value!r}")


def check_positive(value: float, name: str) -> float:
    """Return a positive finite number."""
    number = _check_number(value, name)
    if not (number > 0.0 and np.isfinite(number)):
        raise ValueError(f"{name} must be positive and finite, got {number:g}")
    return number


def check_count(
    value: int | np.integer[Any], name: str, least: int = 1, most: float = 2**31 - 1
) -> int:
    """Return an integer between `least` and `most`."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (numbers.Integral, np.integer)):
        raise TypeError(f"{name} must be an integer, got {type(value).__name__}")
    if value < least:
        raise ValueError(f"{name} must be >= {least}, got {value}")
    if value > most:
        raise ValueError(f"{name} must be <= {most}, got {value}")
    return int(value)


def check_verbose(value: int | np.bool_) -> int:
    """Return the level: of True, as of scikit-learn's MLPs, one."""
    if isinstance(value, (bool, np.bool_)):
        return int(value)
    return check_count(value, "verbose", least=0)


def check_choice(value: Any, name: str, choices: tuple[str, ...]) -> str:
    """Return one of a few names."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} must be one of {list(choices)}, got {value!r}")
    return value


def check_time_limit(value: float | None) -> float:
    """Return seconds, infinity for None."""
    return np.inf if value is None else check_positive(value, "time_limit")


def check_fraction(value: float, name: str) -> float:
    """Return a number strictly between 0 and 1."""
    number = check_positive(value, name)
    if number >= 1.0:
        raise ValueError(f"{name} must be below 1, got {number:g}")
    return number


def check_share(value: float, name: str) -> float:
    """Return a number in [0, 1)."""
    number = _check_number(value, name)
    if not 0.0 <= number < 1.0:
        raise ValueError(f"{name} must be in [0, 1), got {number:g}")
    return number

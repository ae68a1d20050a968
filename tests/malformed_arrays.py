"""Arrays that nobody should pass, and what every public entry point must make of them.

An error that names an argument, or an answer whose numbers are all finite: never another
exception, and never a warning of numpy. Twelve inputs an entry, always the same ones; the
environment variable FUZZ_EXAMPLES asks for another number, of new ones.
"""

import contextlib
import inspect
import os
import re
import typing
import warnings

import numpy as np
import pandas as pd
import scipy.sparse as sp
from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import given as given_inputs
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning, UndefinedMetricWarning

import cvxnn

MANY = os.environ.get("FUZZ_EXAMPLES")
FUZZ = settings(
    max_examples=int(MANY or 12),
    derandomize=MANY is None,
    deadline=None,
    database=None,
    phases=[Phase.generate],  # inputs are named: there is little to shrink
    suppress_health_check=list(HealthCheck),
)
BEYOND = 10**400  # no float holds it


def strided(a):
    wide = np.zeros([2 * n for n in a.shape], a.dtype)
    view = wide[tuple(slice(None, None, 2) for _ in a.shape)]
    view[...] = a
    return view


def read_only(a):
    a = a.copy()
    a.flags.writeable = False
    return a


def with_entry(a, value, dtype=np.float64):
    a = np.array(a, dtype=dtype)
    if a.size:
        a.flat[a.size // 2] = value
    return a


def ragged(a):
    rows = a.tolist()
    return [*rows[:-1], rows[-1][:-1] if a.ndim > 1 else rows]


def table(a):
    """Return an array of up to two dimensions with a row a sample."""
    return a.reshape(len(a), -1) if a.ndim else a.reshape(1, 1)


# The same numbers: what takes the good array takes these, with the same answer.
LAYOUTS = {
    "strided": strided,
    "read-only": read_only,
    "fortran": np.asfortranarray,
    "backwards": lambda a: np.ascontiguousarray(a[::-1])[::-1],
    "big-endian": lambda a: a.astype(">f8"),
    "longdouble": lambda a: a.astype(np.longdouble),
    "list": lambda a: a.tolist(),
    "unmasked": np.ma.MaskedArray,
}
SPOILT = {
    "nan": lambda a: with_entry(a, np.nan),
    "inf": lambda a: with_entry(a, np.inf),
    "minus inf": lambda a: with_entry(a, -np.inf),
    "all nan": lambda a: np.full_like(a, np.nan),
    "float32 nan": lambda a: with_entry(a, np.nan, np.float32),
    "1e300": lambda a: with_entry(a, 1e300),
    "all 1e300": lambda a: np.full_like(a, -1e300),
    "3e38 of float32": lambda a: with_entry(a, 3e38, np.float32),
    "beyond float64": lambda a: with_entry(a, np.longdouble("1e1000"), np.longdouble),
    "1e-300": lambda a: 1e-300 * a,
    "subnormal": lambda a: with_entry(a, 5e-324),
    "zeros": np.zeros_like,
    "constant": np.ones_like,
    "negative": np.negative,
    "permuted": lambda a: a[::-1],
    "repeated": lambda a: np.repeat(a[:1], len(a), axis=0),
    "longer": lambda a: np.concatenate([a, a[:1]]),
    "shorter": lambda a: a[:-1],
    "one": lambda a: a[:1],
    "wider": lambda a: np.concatenate([a, a[..., :1]], axis=-1),
    "narrower": lambda a: a[..., :-1],
    "no rows": lambda a: a[:0],
    "no columns": lambda a: a[..., :0],
    "axis before": lambda a: a[None],
    "axis after": lambda a: a[..., None],
    "axis less": lambda a: a[0],
    "flat": np.ravel,
    "number": lambda a: a.flat[0],
    "float16": lambda a: a.astype(np.float16),
    "int8": lambda a: a.astype(np.int8),
    "uint64": lambda a: np.abs(a).astype(np.uint64),
    "bool": lambda a: a > 0,
    "complex": lambda a: a + 0j,
    "strings": lambda a: a.astype("U8"),
    "bytes": lambda a: a.astype("S8"),
    "words": lambda a: np.full(a.shape, "one"),
    "objects": lambda a: a.astype(object),
    "None": lambda a: np.full(a.shape, None),
    "some None": lambda a: with_entry(a, None, object),
    "some text": lambda a: with_entry(a, "one", object),
    "some dict": lambda a: with_entry(a, {}, object),
    "10**400": lambda a: with_entry(a, BEYOND, object),
    "list of 10**400": lambda a: with_entry(a, -BEYOND, object).tolist(),
    "ragged": ragged,
    "ragged objects": lambda a: np.array([*ragged(a), None], dtype=object),
    "dates": lambda a: a.astype("M8[s]"),
    "durations": lambda a: a.astype("m8[s]"),
    "records": lambda a: np.zeros(a.shape, "f8,f8"),
    "void": lambda a: np.zeros(a.shape, "V4"),
    "masked": lambda a: np.ma.masked_array(a, a == a.flat[0]),
    "frame": lambda a: pd.DataFrame(table(a)),
    "frame of text": lambda a: pd.DataFrame(table(a)).astype(str).assign(text="one"),
    "frame of dates": lambda a: pd.DataFrame(table(a).astype("M8[s]")),
    "frame of pandas' own": lambda a: pd.DataFrame(table(a)).convert_dtypes(),
    "frame with missing": lambda a: pd.DataFrame(table(with_entry(a, pd.NA, object))),
    "frame of equal names": lambda a: pd.DataFrame(table(a), columns=["a"] * table(a).shape[1]),
    "series": lambda a: pd.Series(list(a)),
    "categories": lambda a: pd.Series(list("ab" * len(a))[: len(a)], dtype="category"),
    "csr": lambda a: sp.csr_array(table(a)),
    "coo of nan": lambda a: sp.coo_matrix(table(with_entry(a, np.nan))),
    "iterator": lambda a: iter(a.tolist()),
}
OBJECTS = {
    **{repr(value): value for value in (None, True, -1, BEYOND > 0, 1e308, 2 + 1j, "text", b"x")},
    **{repr(value): value for value in ([], [[]], [None] * 8, ["1"] * 8, {}, {1.0}, range(8))},
    "integer beyond floats": BEYOND,
    "object": object(),
    "type": np.ndarray,
    "function": len,
    "ellipsis": Ellipsis,
    "array of None": np.array(None),
    "network": cvxnn.Network([[[1.0]], [[1.0]]], [[0.0], [0.0]]),
    "dtype": np.dtype("f8"),
}
KINDS = {**LAYOUTS, **SPOILT, **{k: lambda _, value=v: value for k, v in OBJECTS.items()}}

DTYPES = st.sampled_from(
    ["f2", "f4", "f8", ">f8", "g", "i1", "i8", "u8", "?", "c16", "S3", "U3", "O", "M8[s]", "m8[s]"]
)
SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=8)
ENTRIES_OF_OBJECTS = st.sampled_from([None, "a", 1, 2.5, BEYOND, [1], {}, np.inf, pd.NA])


@st.composite
def random_arrays(draw, shape):
    """Draw an array of any dtype, of any shape or the good one."""
    dtype = draw(DTYPES)
    elements = ENTRIES_OF_OBJECTS if dtype == "O" else None
    return draw(hnp.arrays(dtype, st.one_of(st.just(shape), SHAPES), elements=elements))


@st.composite
def changes(draw, good):
    """Draw what to put in the place of one argument: its name, and the value."""
    if isinstance(good, list):  # of arrays
        k = draw(st.integers(0, len(good)))
        if k < len(good):
            kind, changed = draw(changes(good[k]))
            return f"[{k}] {kind}", [*good[:k], changed, *good[k + 1 :]]
        kind = draw(st.sampled_from(sorted(OBJECTS)))
        return kind, OBJECTS[kind]
    kind = draw(st.sampled_from([*sorted(KINDS), *["random"] * 10]))
    if kind == "random":
        return kind, draw(random_arrays(good.shape))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what makes the input
        return kind, KINDS[kind](good)


SAMPLES = {
    "one sample": lambda _: [0],
    "one class": lambda n: [0] * n,
    "two distinct samples": lambda n: [k % 2 for k in range(n)],
    "every sample twice": lambda n: [k // 2 for k in range(2 * n)],
}


@st.composite
def inputs(draw, good):
    """Draw arguments, and the kinds of those that are not the good ones."""
    kinds, arguments = {}, dict(good)
    rows = draw(st.sampled_from([None] * 6 + sorted(SAMPLES)))
    if rows is not None:
        kinds["samples"] = rows
        for name in {"X", "y", "sample_weight"} & set(good):
            arguments[name] = good[name][SAMPLES[rows](len(good[name]))]
    least = 1 if rows is None else 0
    for name in sorted(draw(st.sets(st.sampled_from(sorted(good)), min_size=least, max_size=2))):
        kinds[name], arguments[name] = draw(changes(arguments[name]))
    return kinds, arguments


def assert_finite(value, name="answer"):
    """Check all numbers of an answer, however deep they lie in it."""
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        assert np.isfinite(value).all(), name
    elif isinstance(value, float):
        assert np.isfinite(value), name
    elif isinstance(value, (list, tuple)):
        for k, item in enumerate(value):
            assert_finite(item, f"{name}[{k}]")
    elif isinstance(value, BaseEstimator):
        fitted = {key: item for key, item in vars(value).items() if key.endswith("_")}
        for key, item in fitted.items():
            assert_finite(item, f"{name}.{key}")
    elif type(value).__module__.startswith("cvxnn"):
        assert getattr(value, "gap", 0.0) >= 0.0, f"{name}.gap"
        for key, item in vars(value).items():
            assert_finite(item, f"{name}.{key}")


@contextlib.contextmanager
def only_expected_warnings():
    """Raise warnings but those of solves that end early, and of scikit-learn's checks."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # Also of columns as targets, and of scores on one sample.
        for category in (DataConversionWarning, UndefinedMetricWarning, ConvergenceWarning):
            warnings.simplefilter("ignore", category)
        warnings.simplefilter("ignore", cvxnn.ConvergenceWarning)
        warnings.filterwarnings("ignore", category=UserWarning, module=r"sklearn\.")
        yield


def attack(function, good, names=None):
    """Call a function with malformed arrays; return how many calls it refused.

    Its errors have one of the names, by default those of the arrays.
    """
    some_name = re.compile(rf"\b({'|'.join(good if names is None else names)})\b")
    refused = []

    @FUZZ
    @given_inputs(inputs(good))
    def attempt(drawn):
        kinds, arguments = drawn
        note(f"{kinds}")
        with only_expected_warnings():
            message = None
            try:
                answer = function(**arguments)
            except (TypeError, ValueError) as error:
                message = str(error)
        if message is None:
            assert_finite(answer)
            return
        assert some_name.search(message), message
        assert not set(kinds.values()) <= set(LAYOUTS), message
        refused.append(message)

    with only_expected_warnings():
        assert_finite(function(**good))
    attempt()
    return len(refused)


def _takes_arrays(name, annotation):
    if name in ("X", "y", "sample_weight"):  # of scikit-learn's methods, without types
        return True
    if typing.get_origin(annotation) is np.ndarray:
        return True
    parts = typing.get_args(annotation)
    whole = all(part in parts for part in typing.get_args(ArrayLike))
    return whole or any(_takes_arrays("", part) for part in parts)


def array_arguments(function):
    """Return the names of the parameters that take arrays."""
    parameters = inspect.signature(function).parameters.values()
    return {p.name for p in parameters if _takes_arrays(p.name, p.annotation)}


def entry_points(*, estimators):
    """Return what is public in cvxnn and takes arrays, with the names of these arguments.

    The arrays among the parameters of an estimator are arguments of its `fit`.
    """
    found = {}
    for name in cvxnn.__all__:
        thing = getattr(cvxnn, name)
        if not inspect.isclass(thing):
            found |= {} if estimators else {name: array_arguments(thing)}
            continue
        if issubclass(thing, Warning) or issubclass(thing, BaseEstimator) != estimators:
            continue
        # An instance has not all methods of the class: some are for certain parameters.
        methods = inspect.getmembers(thing() if estimators else thing, callable)
        for key, method in methods:
            # Requests of scikit-learn's routing take names and flags.
            if not key.startswith("_") and not key.endswith("_request"):
                found[f"{name}.{key}"] = array_arguments(method)
        if estimators:
            found[f"{name}.fit"] |= array_arguments(thing)
        elif not hasattr(thing, "__dataclass_fields__"):  # those are made by functions
            found[name] = array_arguments(thing)
    return {name: arguments for name, arguments in found.items() if arguments}

"""Data files of the command line: CSV, Parquet and npz, each with errors that say where."""

import csv
import importlib
import itertools
import zipfile
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cvxnn._validation import Data, check_choice, check_data, check_numeric, check_tensor

_SUFFIXES = (".csv", ".parquet", ".npz")


@dataclass(frozen=True)
class Table:
    """Inputs, the target if one was asked for, and the names of the features if the file has any.

    Attributes
    ----------
    X : ndarray of shape (n_samples, n_features), or of more dimensions
        Inputs, finite.
    y : ndarray of shape (n_samples,) or (n_samples, n_outputs), or None
        Numbers, or labels: integers, floats, booleans or strings.
    feature_names : list of str or None
        One a feature.
    """

    X: Data
    y: NDArray[Any] | None
    feature_names: list[str] | None


@dataclass(frozen=True)
class Request:
    """What to read of a file.

    Attributes
    ----------
    target : str or None
        Column of the target, by name or index; for npz the name of its array.
    inputs : str
        Name of the array of inputs, for npz.
    features : sequence of str or None
        Columns to read, where the file has names; None is all but the target.
    header : bool
        Whether a CSV file begins with a row of names.
    labels : bool
        Whether the target holds labels rather than numbers.
    need_target : bool
        Whether the target is to be read; if not, it is only left out of the features.
    shapes : tuple of str or None
        Those of inputs of more than two dimensions, see `check_tensor`; None is two.
    """

    target: str | None
    inputs: str = "X"
    features: Sequence[str] | None = None
    header: bool = True
    labels: bool = False
    need_target: bool = True
    shapes: tuple[str, ...] | None = None


def read_data(path: Path, request: Request) -> Table:
    """Read a data file; the suffix of its name tells the format."""
    suffix = check_choice(path.suffix.lower(), "the suffix of the data file", _SUFFIXES)
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    if suffix == ".npz":
        return _read_npz(path, request)
    if request.shapes is not None:
        wanted = " or ".join(f"({shape})" for shape in request.shapes)
        raise ValueError(
            f"{path} is a table, and the network takes inputs of shape {wanted}: give an .npz file"
        )
    if request.need_target and request.target is None:
        raise ValueError(f"{path} needs --target, the name or index of a column")
    read = _read_csv if suffix == ".csv" else _read_parquet
    try:
        return read(path, request)
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not a readable {suffix[1:]} file: {error}") from None


def _read_csv(path: Path, request: Request) -> Table:
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file, strict=True)
        rows = ((reader.line_num, row) for row in reader if row)
        first = next(rows, None)
        if first is None:
            raise ValueError(f"{path} is empty")
        names = first[1] if request.header else [str(i) for i in range(len(first[1]))]
        columns = _choose(path, names, request)
        body = rows if request.header else itertools.chain([first], rows)
        return _parse(path, names, columns, body, request)


def _parse(
    path: Path,
    names: Sequence[str],
    columns: tuple[list[int], int | None],
    rows: Iterable[tuple[int, list[str]]],
    request: Request,
) -> Table:
    """Convert rows of text, with their line numbers."""
    features, target = columns
    values, lines, targets = array("d"), array("q"), list[str]()
    for line, row in rows:
        if len(row) != len(names):
            raise ValueError(f"{path}, line {line}: {len(row)} fields, not {len(names)}")
        try:
            values.extend([float(row[i]) for i in features])
        except ValueError:
            _refuse_text(path, line, names, [(i, row[i]) for i in features])
        lines.append(line)
        if target is not None:
            targets.append(row[target].strip())
            if not targets[-1]:
                raise ValueError(f"{path}, line {line}: column {names[target]!r} is empty")
    if not lines:
        raise ValueError(f"{path} has no rows of data")
    X = np.frombuffer(values).reshape(len(lines), len(features))
    if not np.isfinite(X).all():
        row_index, column = np.argwhere(~np.isfinite(X))[0]
        raise ValueError(
            f"{path}, line {lines[row_index]}: column {names[features[column]]!r} contains NaN or "
            "infinity"
        )
    y: NDArray[Any] | None = None
    if target is not None and request.labels:
        y = _labels(targets)
    elif target is not None:
        try:
            y = np.array([float(text) for text in targets])
        except ValueError:
            for line, text in zip(lines, targets, strict=True):
                _refuse_text(path, line, names, [(target, text)])
    kept = [names[i] for i in features] if request.header else None
    return _checked(path, X, y, kept)


def _refuse_text(
    path: Path, line: int, names: Sequence[str], cells: Iterable[tuple[int, str]]
) -> None:
    """Raise for the first of some cells that is no number."""
    for index, text in cells:
        try:
            float(text)
        except ValueError:
            found = f"{text!r} is not a number" if text.strip() else "the value is missing"
            raise ValueError(f"{path}, line {line}: column {names[index]!r}: {found}") from None


def _labels(texts: Sequence[str]) -> NDArray[Any]:
    """Return labels as integers where that loses nothing, else as they are: 007 is not 7."""
    try:
        numbers = np.array([int(text) for text in texts], dtype=np.int64)
    except (ValueError, OverflowError):
        return np.array(texts)
    return numbers if [str(number) for number in numbers] == list(texts) else np.array(texts)


def _choose(path: Path, names: Sequence[str], request: Request) -> tuple[list[int], int | None]:
    """Return the indices of the features and of the target."""
    if doubles := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{path} has several columns named {doubles}")
    target = None if request.target is None else _find(path, names, request.target)
    if request.features is not None and request.header:
        if missing := [name for name in request.features if name not in names]:
            raise ValueError(f"{path} has no column {missing[0]!r}, a feature of the model")
        features = [names.index(name) for name in request.features]
    else:
        features = [i for i in range(len(names)) if i != target]
    if not features:
        raise ValueError(f"{path} has no column beside the target")
    return features, target if request.need_target else None


def _find(path: Path, names: Sequence[str], target: str) -> int:
    if target in names:
        return names.index(target)
    try:
        return range(len(names))[int(target)]
    except (ValueError, IndexError):
        shown = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
        raise ValueError(f"{path} has no column {target!r}, it has {shown}") from None


def _read_parquet(path: Path, request: Request) -> Table:
    frame = _parquet_frame(path)
    names = [str(name) for name in frame.columns]
    features, target = _choose(path, names, request)
    columns = []
    for index in features:
        column = np.asarray(frame[names[index]].to_numpy())
        if column.dtype.kind not in "fiub":
            raise ValueError(f"{path}: column {names[index]!r} is not numeric: {column.dtype}")
        if not np.isfinite(column).all():
            row = np.flatnonzero(~np.isfinite(column))[0]
            raise ValueError(
                f"{path}, row {row}: column {names[index]!r} contains NaN, infinity or no value"
            )
        columns.append(column)
    y = None if target is None else np.asarray(frame[names[target]].to_numpy())
    if y is not None and y.dtype.kind == "O":
        if not all(isinstance(value, str) for value in y):
            raise ValueError(f"{path}: column {names[target or 0]!r} has values that are no text")
        y = y.astype(str)
    if y is not None and not request.labels and y.dtype.kind not in "fiub":
        raise ValueError(f"{path}: column {names[target or 0]!r} is not numeric")
    return _checked(path, np.column_stack(columns), y, [names[i] for i in features])


def _parquet_frame(path: Path) -> Any:
    for package in ("polars", "pandas"):
        try:
            return importlib.import_module(package).read_parquet(path)
        except ImportError:  # pandas says so too where it has no engine
            continue
        except Exception as error:  # each package has types of its own
            raise ValueError(f"{path} is not a readable Parquet file: {error}") from None
    raise ValueError(
        f"{path}: Parquet needs polars, or pandas with pyarrow: python -m pip install polars"
    )


def _read_npz(path: Path, request: Request) -> Table:
    wanted = [request.inputs]
    if request.need_target:
        wanted.append(request.target or "y")
    try:
        with np.load(path, allow_pickle=False) as archive:
            held = list(archive.files)
            arrays = [archive[name] if name in held else None for name in wanted]
    except (OSError, ValueError, EOFError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is not a readable npz file: {error}") from None
    for name, value in zip(wanted, arrays, strict=True):
        if value is None:
            raise ValueError(f"{path} has no array {name!r}, it has {sorted(held)}")
    y = arrays[1] if request.need_target else None
    return _checked(path, arrays[0], y, None, request.shapes)


def _checked(
    path: Path,
    X: Any,
    y: NDArray[Any] | None,
    names: list[str] | None,
    shapes: tuple[str, ...] | None = None,
) -> Table:
    try:
        data = check_data(X) if shapes is None else check_tensor(X, shapes)
        if y is not None:
            if y.dtype.kind != "U" and not np.isfinite(check_numeric(y, "target")).all():
                raise ValueError("the target contains NaN or infinity")
            if y.ndim == 0 or len(y) != len(data):
                raise ValueError(f"{len(data)} rows of inputs, but target of shape {y.shape}")
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from None
    return Table(data, y, names)


def prediction_lines(values: NDArray[Any]) -> Iterator[str]:
    """Return a line a row, several outputs with commas between them; floats read back exactly."""
    for row in values.reshape(len(values), -1).tolist():
        yield ",".join(str(value) for value in row)

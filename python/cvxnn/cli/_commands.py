"""What the commands do: each takes the parsed arguments and returns the exit status."""

import argparse
import csv
import io
import json
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from cvxnn._extras import import_extra
from cvxnn._files import write_atomically
from cvxnn._paths import path_alphas
from cvxnn._threads import blas_threads, effective_threads
from cvxnn._validation import Data, Float, check_choice, check_fraction
from cvxnn.certificates import certify
from cvxnn.cli._data import Request, Table, prediction_lines, read_data
from cvxnn.cli._models import (
    AnyNetwork,
    Metadata,
    described,
    input_shapes,
    predicted_labels,
    read_model,
    signed_labels,
    write_model,
)
from cvxnn.cli._progress import shown_progress
from cvxnn.diagnostics import versions
from cvxnn.losses import resolve_loss
from cvxnn.network import Network
from cvxnn.results import ConvergenceWarning

# Options that estimators have, where the command line names them; None keeps their defaults.
_PARAMETERS = (
    *("loss", "penalty", "l1_ratio", "l2_ratio", "activation", "patterns", "n_patterns"),
    *("tol", "max_iter", "time_limit"),
)
_WEIGHT_DECAY = (None, "group", "nuclear", "columns")  # of one output all the same


def run_fit(args: argparse.Namespace) -> int:
    """Train a network, write it and print its certificate."""
    _check_folder(args.output)
    table, model = _read_training(args), _make_estimator(args)
    with _no_warnings(), shown_progress(quiet=args.quiet) as progress:
        if args.alpha_ratio is not None:
            ratio = check_fraction(args.alpha_ratio, "--alpha-ratio")
            model.alpha = ratio * _columns(model, table).alpha_max(model.n_threads)
        model.fit(table.X, table.y, callback=progress)
    classes = getattr(model, "classes_", None)
    metadata = Metadata(
        classes=None if classes is None else classes.tolist(),
        feature_names=table.feature_names,
        loss=model.loss,
        penalty=model.penalty,
        alpha=float(model.alpha),
        standardize=model.standardize,
    )
    write_model(args.output, model.network_, metadata)
    record = {
        **_row(model, table),
        "lower_bound": model.lower_bound_,
        "n_patterns": model.n_patterns_,
        "n_iter": model.n_iter_,
        "n_samples": len(table.X),
        "n_features": table.X.shape[1],
        "model": str(args.output),
    }
    _print_record(record, as_json=args.json)
    return _converged(model.status_ == "optimal", args)


def run_path(args: argparse.Namespace) -> int:
    """Print a row for each alpha, from the largest to the smallest."""
    table, model = _read_training(args), _make_estimator(args)
    rows = []
    with _no_warnings(), shown_progress(quiet=args.quiet) as progress:
        columns = _columns(model, table)
        alphas = path_alphas(
            lambda: columns.alpha_max(model.n_threads), args.n_alphas, args.eps, None
        )
        for alpha in alphas.tolist():
            model.alpha = alpha
            model._solve(columns, alpha, callback=progress, warm_start=True)
            rows.append(_row(model, table))
    if args.json:
        print(json.dumps({"path": rows}))
    else:
        print(",".join(rows[0]))
        for row in rows:
            print(",".join(_text(value) for value in row.values()))
    return _converged(all(row["status"] == "optimal" for row in rows), args)


def run_predict(args: argparse.Namespace) -> int:
    """Print labels or numbers, one line a row of data, or write them to a file."""
    if args.output is not None:
        _check_folder(args.output)
        check_choice(args.output.suffix, "the suffix of --output", (".csv", ".npz"))
    network, metadata = read_model(args.model)
    request = _request(args, metadata, need_target=False, shapes=input_shapes(network))
    table = read_data(args.data, request)
    values: Any = _outputs(network, table.X, args.threads)
    if metadata.classes is not None and not args.scores:
        values = predicted_labels(metadata.classes, values)
    if args.output is not None:
        _write_predictions(args.output, values)
    elif args.json:
        print(json.dumps({"predictions": values.tolist()}))
    else:
        for line in prediction_lines(values):
            print(line)
    return 0


def run_certify(args: argparse.Namespace) -> int:
    """Print how far a ReLU network is from the global optimum of its training problem."""
    network, metadata = read_model(args.model)
    if not isinstance(network, Network):
        raise ValueError(
            f"{args.model} holds a {type(network).__name__}, and only a Network is certified"
        )
    if metadata.penalty not in _WEIGHT_DECAY:
        raise ValueError(
            f"{args.model} was fitted with the penalty {metadata.penalty!r}, and a certificate is "
            "for weight decay alone"
        )
    alpha = metadata.alpha if args.alpha is None else args.alpha
    if alpha is None:
        raise ValueError(f"{args.model} does not tell its alpha: give --alpha")
    loss = args.loss or metadata.loss or "squared"
    spec = resolve_loss(loss)
    labels = spec.labels or spec.shares
    table = read_data(args.data, _request(args, metadata, labels=labels))
    y = table.y
    if labels and y is not None:
        y = signed_labels(y, metadata.classes)
    if metadata.standardize and not args.quiet:
        print(
            "cvxnn: note: the model was fitted to standardised data, and this certificate is for "
            "the data as they are; fit with --no-standardize for one of the same problem",
            file=sys.stderr,
        )
    found = certify(
        network,
        table.X,
        y if y is not None else (),
        alpha,
        loss=loss,
        method=args.method,
        tol=args.tol,
        random_state=args.seed,
        n_threads=args.threads,
    )
    record = {
        "status": found.status,
        "kind": "proof" if found.proof else "estimate",
        "alpha": alpha,
        "objective": found.objective,
        "lower_bound": found.lower_bound,
        "gap": found.gap,
        "gap_rel": found.gap_rel,
        "dual_norm_ratio": found.dual_norm_ratio,
    }
    _print_record(record, as_json=args.json)
    return 0 if found.status == "optimal" else 1


def run_export(args: argparse.Namespace) -> int:
    """Write a network as an ONNX model or as a torch state dict."""
    _check_folder(args.output)
    suffix = check_choice(args.output.suffix, "the suffix of --output", (".onnx", ".pt"))
    network, _ = read_model(args.model)
    if suffix == ".onnx":
        network.to_onnx(args.output, **({} if args.dtype is None else {"dtype": args.dtype}))
    else:
        _write_state_dict(args.output, network, args.dtype or "float64")
    return 0


def run_demo(args: argparse.Namespace) -> int:
    """Train networks on two data sets of scikit-learn."""
    try:
        from cvxnn import demo
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != "matplotlib":
            raise
        print(
            'the demo draws with matplotlib: python -m pip install "cvxnn[demo]"', file=sys.stderr
        )
        return 1
    demo.run(args.output)
    return 0


def run_info(args: argparse.Namespace) -> int:
    """Print versions and the core in use, or what a saved network is."""
    record = versions()
    if args.model is not None:
        record = described(*read_model(args.model))
    _print_record(record, as_json=args.json)
    return 0


def _outputs(network: AnyNetwork, X: Data, n_threads: int | None) -> Float:
    if isinstance(network, Network):
        return network.predict(X, n_threads=n_threads)
    with blas_threads(effective_threads(n_threads)):
        return network.predict(X)


def _request(args: argparse.Namespace, metadata: Metadata | None = None, **options: Any) -> Request:
    return Request(
        target=args.target,
        inputs=args.inputs,
        header=not args.no_header,
        features=None if metadata is None else metadata.feature_names,
        **options,
    )


def _read_training(args: argparse.Namespace) -> Table:
    return read_data(args.data, _request(args, labels=args.task == "classification"))


def _make_estimator(args: argparse.Namespace) -> Any:
    from cvxnn.estimators import ReLUClassifier, ReLURegressor

    chosen = {name: getattr(args, name) for name in _PARAMETERS}
    if getattr(args, "alpha", None) is not None:
        chosen["alpha"] = args.alpha
    kind = ReLUClassifier if args.task == "classification" else ReLURegressor
    return kind(
        fit_intercept=not args.no_intercept,
        standardize=not args.no_standardize,
        n_threads=args.threads,
        random_state=args.seed,
        **{name: value for name, value in chosen.items() if value is not None},
    )


def _columns(model: Any, table: Table) -> Any:
    """Return the programs that `fit` would solve."""
    return model._columns(*model._check_training(table.X, table.y, None), model.random_state)


def _row(model: Any, table: Table) -> dict[str, Any]:
    """Return what a fit and each row of a path say."""
    objective = model.objective_
    return {
        "alpha": float(model.alpha),
        "n_neurons": model.network_.width,
        "objective": objective,
        "gap": model.dual_gap_,
        "gap_rel": model.dual_gap_ / objective if objective > 0.0 else 0.0,
        "train_score": float(model.score(table.X, table.y)),
        "status": model.status_,
    }


def _converged(converged: bool, args: argparse.Namespace) -> int:
    if not converged and not args.quiet:
        print(
            "cvxnn: warning: the solver stopped before the gap reached --tol; the model is usable "
            "and its gap holds. A larger --alpha, --max-iter, --time-limit or --tol lets it finish",
            file=sys.stderr,
        )
    return 0 if converged else 1


@contextmanager
def _no_warnings() -> Iterator[None]:
    """Silence the warnings of an early stop: the exit status and stderr tell of it."""
    from sklearn.exceptions import ConvergenceWarning as Unfinished

    with warnings.catch_warnings():
        for category in (ConvergenceWarning, Unfinished):
            warnings.simplefilter("ignore", category)
        yield


def _print_record(record: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(record))
        return
    for key, value in record.items():
        print(f"{key:<15} {_text(value)}")


def _text(value: Any) -> str:
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _check_folder(path: Path) -> None:
    """Refuse, before any work, a file that cannot be written."""
    if not path.parent.is_dir():
        raise ValueError(f"there is no folder {path.parent} to write {path.name} to")
    if path.is_dir():
        raise ValueError(f"{path} is a folder")


def _write_predictions(path: Path, values: Any) -> None:
    if path.suffix == ".npz":
        write_atomically(path, lambda file: np.savez(file, y=values))
        return
    rows = values.reshape(len(values), -1)
    head = [f"y{j}" for j in range(rows.shape[1])] if rows.shape[1] > 1 else ["y"]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(
        [head, *rows.tolist()]
    )  # labels may need quotes
    write_atomically(path, lambda file: file.write(text.getvalue().encode()))


def _write_state_dict(path: Path, network: AnyNetwork, dtype: str) -> None:
    torch = import_extra("torch")
    state = network.to_torch(getattr(torch, dtype)).state_dict()
    write_atomically(path, lambda file: torch.save(state, file))

"""Data and model files that the command line reads, and those that it refuses."""

import os
import sys

import numpy as np
import polars as pl
import pytest

import cvxnn
from cvxnn._files import write_network
from cvxnn._layers import stored_arrays
from cvxnn.cli import main

X = np.random.default_rng(0).standard_normal((20, 2))
Y = np.abs(X[:, 0])
ROWS = "".join(f"{a!r},{b!r},{y!r}\n" for (a, b), y in zip(X.tolist(), Y.tolist(), strict=True))
TEXT = "a,b,t\n" + ROWS


@pytest.fixture
def fit(tmp_path, capsys):
    """Return a function that fits to a file and returns the status and stderr."""

    def call(path, *options, task="regression"):
        arguments = ["fit", str(path), "--task", task, "-o", str(tmp_path / "model"), *options]
        status = main([*arguments, "--n-patterns", "20"])
        return status, capsys.readouterr().err

    return call


def expected_outputs():
    return cvxnn.ReLURegressor(n_patterns=20).fit(X, Y).predict(X)


@pytest.mark.parametrize(
    ("text", "options"),
    [
        (TEXT, ["--target", "t"]),
        ("\ufeff" + TEXT.replace("\n", "\r\n"), ["--target", "t"]),
        (TEXT + "\n\n", ["--target", "t"]),
        ('"a","b, too","t"\n' + ROWS, ["--target", "t"]),
        (ROWS, ["--no-header", "--target", "2"]),
    ],
    ids=["plain", "excel", "blank lines", "quotes", "no header"],
)
def test_csv(tmp_path, fit, text, options):
    path = tmp_path / "d.csv"
    path.write_text(text, encoding="utf-8", newline="")
    assert fit(path, *options) == (0, "")
    found = cvxnn.Network.load(tmp_path / "model").predict(X)
    assert np.array_equal(found, expected_outputs())


@pytest.mark.parametrize(
    ("names", "options"),
    [(("X", "y"), []), (("in", "out"), ["--inputs", "in", "--target", "out"])],
)
def test_npz(tmp_path, fit, names, options):
    np.savez(tmp_path / "d.npz", **dict(zip(names, (X, Y), strict=True)))
    assert fit(tmp_path / "d.npz", *options) == (0, "")
    found = cvxnn.Network.load(tmp_path / "model").predict(X)
    assert np.array_equal(found, expected_outputs())


def test_parquet(tmp_path, fit):
    frame = pl.DataFrame({"a": X[:, 0], "t": Y, "b": X[:, 1]})
    frame.write_parquet(tmp_path / "d.parquet")
    assert fit(tmp_path / "d.parquet", "--target", "t") == (0, "")
    found = cvxnn.Network.load(tmp_path / "model").predict(X)
    assert np.array_equal(found, expected_outputs())
    labels = pl.Series(["no", "yes"] * 10)
    frame.with_columns(t=labels).write_parquet(tmp_path / "d.parquet")
    assert fit(tmp_path / "d.parquet", "--target", "t", task="classification")[0] == 0
    assert "'t' is not numeric" in refused(fit, tmp_path / "d.parquet", "--target", "t")
    frame.with_columns(b=labels).write_parquet(tmp_path / "d.parquet")
    assert "'b' is not numeric" in refused(fit, tmp_path / "d.parquet", "--target", "t")
    frame.with_columns(b=pl.Series([None] + [1.0] * 19)).write_parquet(tmp_path / "d.parquet")
    assert "row 0: column 'b'" in refused(fit, tmp_path / "d.parquet", "--target", "t")
    (tmp_path / "d.parquet").write_bytes(b"PAR1 no more")
    assert "not a readable Parquet file" in refused(fit, tmp_path / "d.parquet", "--target", "t")


def test_parquet_names_what_to_install(tmp_path, fit, monkeypatch):
    for name in ("polars", "pandas"):
        monkeypatch.setitem(sys.modules, name, None)
    (tmp_path / "d.parquet").write_bytes(b"PAR1")
    assert "pip install polars" in refused(fit, tmp_path / "d.parquet", "--target", "t")


def refused(fit, path, *options, task="regression"):
    """Return the message of a fit that must fail with one line and leave no file."""
    before = set(path.parent.iterdir()) - {path.parent / "model"}
    (path.parent / "model").unlink(missing_ok=True)
    status, message = fit(path, *options, task=task)
    assert status == 2
    assert message.startswith("cvxnn: error: ")
    assert message.count("\n") == 1
    assert set(path.parent.iterdir()) == before
    return message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "is empty"),
        ("a,b,t\n", "no rows"),
        ("a,b,u\n" + ROWS, "no column 't', it has a, b, u"),
        ("a,a,t\n" + ROWS, r"several columns named ['a']"),
        ("t\n1.0\n", "no column beside the target"),
        (TEXT + "1.0,2.0\n", "line 22: 2 fields, not 3"),
        (TEXT + "1.0,x,3.0\n", "line 22: column 'b': 'x' is not a number"),
        (TEXT + "1.0,,3.0\n", "line 22: column 'b': the value is missing"),
        (TEXT + "1.0,nan,3.0\n", "line 22: column 'b' contains NaN"),
        (TEXT + "inf,1.0,3.0\n", "line 22: column 'a' contains NaN or infinity"),
        (TEXT + "1.0,2.0,high\n", "line 22: column 't': 'high' is not a number"),
        (TEXT + "1.0,2.0,\n", "line 22: column 't' is empty"),
        (TEXT + "1.0,2.0,nan\n", "target contains NaN"),
        (TEXT + '1.0,2.0,"3\n', "not a readable csv file"),
        (TEXT + "1.0,\udcff,3\n", "not a readable csv file"),
        (TEXT + "1.0,1e200,3\n", "rescale"),
    ],
)
def test_broken_csv(tmp_path, fit, text, expected):
    path = tmp_path / "d.csv"
    path.write_bytes(text.encode(errors="surrogateescape"))
    assert expected in refused(fit, path, "--target", "t")


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        ({"X": X}, "no array 'y', it has ['X']"),
        ({"y": Y}, "no array 'X'"),
        ({"X": X, "y": Y[:-1]}, "20 rows of inputs"),
        ({"X": X[:, 0], "y": Y}, "2-D"),
        ({"X": np.where(X > 2, np.nan, X * np.inf), "y": Y}, "NaN"),
        ({"X": X, "y": np.full(20, np.nan)}, "target contains NaN"),
        ({"X": X, "y": Y.astype(object)}, "not a readable npz file"),
        ({"X": X + 1j, "y": Y}, "real"),
        ({"X": X.astype("U9"), "y": np.array(["a"] * 20)}, "d.npz"),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_broken_npz(tmp_path, fit, arrays, expected):
    np.savez(tmp_path / "d.npz", **arrays)
    if expected == "d.npz":  # text in place of numbers
        assert refused(fit, tmp_path / "d.npz")
    else:
        assert expected in refused(fit, tmp_path / "d.npz")


def test_files_that_are_none(tmp_path, fit):
    assert "no file" in refused(fit, tmp_path / "no.csv", "--target", "t")
    (tmp_path / "d.npz").write_text("text")
    assert "not a readable npz file" in refused(fit, tmp_path / "d.npz")
    (tmp_path / "d.txt").write_text(TEXT)
    assert "suffix of the data file" in refused(fit, tmp_path / "d.txt")
    (tmp_path / "d.csv").write_text(TEXT)
    assert "--target" in refused(fit, tmp_path / "d.csv")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--alpha", "-1"], "alpha must be positive"),
        (["--alpha", "nan"], "alpha must be positive"),
        (["--alpha-ratio", "2"], "--alpha-ratio must be below 1"),
        (["--tol", "0"], "tol must be positive"),
        (["--loss", "logistic"], "loss must be one of"),
        (["--activation", "gated_relu", "--patterns", "adaptive"], "needs activation='relu'"),
        (["--threads", "0"], "n_threads"),
        (["--time-limit", "0"], "time_limit"),
    ],
)
def test_bad_options(tmp_path, fit, options, expected):
    (tmp_path / "d.csv").write_text(TEXT)
    assert expected in refused(fit, tmp_path / "d.csv", "--target", "t", *options)


def test_one_array_under_the_name_of_many(tmp_path, fit):
    with (tmp_path / "d.npz").open("wb") as file:
        np.save(file, X)
    assert "not a readable npz file" in refused(fit, tmp_path / "d.npz")


def test_patterns_that_cannot_be_told_apart(tmp_path, fit):
    close = np.vstack([X[:4], X[:4] + 1e-12])
    np.savez(tmp_path / "d.npz", X=close, y=np.ones(8))
    options = ("--patterns", "exact", "--no-standardize", "--no-intercept")
    assert "too nearly dependent" in refused(fit, tmp_path / "d.npz", *options)


def test_more_than_memory_holds(tmp_path, fit, monkeypatch):
    def sample(*_, **__):
        raise MemoryError("Unable to allocate 3 TiB")

    monkeypatch.setattr("cvxnn.estimators._base.sample_gates", sample)
    (tmp_path / "d.csv").write_text(TEXT)
    assert "Unable to allocate" in refused(fit, tmp_path / "d.csv", "--target", "t")


def test_one_class(tmp_path, fit):
    np.savez(tmp_path / "d.npz", X=X, y=np.zeros(20, dtype=int))
    assert "two classes" in refused(fit, tmp_path / "d.npz", task="classification")


def test_folder_of_the_model(tmp_path, capsys):
    np.savez(tmp_path / "d.npz", X=X, y=Y)
    command = ["fit", str(tmp_path / "d.npz"), "--task", "regression", "-o"]
    assert main([*command, str(tmp_path / "no" / "m")]) == 2
    assert "no folder" in capsys.readouterr().err
    assert main([*command, str(tmp_path)]) == 2
    assert "is a folder" in capsys.readouterr().err


@pytest.fixture
def predict(tmp_path, capsys):
    """Return a function that predicts with a model and returns the message of its failure."""

    def call(model, data=None):
        path = tmp_path / "d.csv"
        path.write_text("a,b\n1.0,2.0\n" if data is None else data)
        assert main(["predict", os.fspath(model), os.fspath(path)]) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        assert printed.err.count("\n") == 1
        return printed.err

    return call


def test_broken_models(tmp_path, predict):
    model = tmp_path / "m.npz"
    assert "no file" in predict(model)
    model.write_bytes(b"PK no archive")
    assert "not a readable cvxnn network" in predict(model)
    np.savez(model, X=X)
    assert "not a cvxnn network" in predict(model)
    network = cvxnn.Network([[[1.0], [0.0]], [[1.0]]], [[0.0], [0.0]])
    for metadata in (
        "no json",
        "[1]",
        '{"colour": 1}',
        '{"feature_names": ["a"]}',
        '{"classes": [1, 2, 3]}',
        "[" * 10**5,
    ):
        write_network(model, {**stored_arrays(network), "metadata": np.array(metadata)})
        assert "broken cvxnn network: metadata" in predict(model)
        assert cvxnn.Network.load(model).width == 1  # a network needs none of it


def test_features_of_another_width_or_name(tmp_path, fit, predict):
    np.savez(tmp_path / "d.npz", X=X, y=Y)
    assert fit(tmp_path / "d.npz")[0] == 0
    assert "must have 2 features" in predict(tmp_path / "model", "a\n1.0\n")
    (tmp_path / "t.csv").write_text(TEXT)
    assert fit(tmp_path / "t.csv", "--target", "t")[0] == 0
    assert "no column 'b', a feature of the model" in predict(tmp_path / "model", "a,c\n1.0,2.0\n")

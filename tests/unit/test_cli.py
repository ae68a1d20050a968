"""The command line on files: what it trains, writes, prints and answers."""

import csv
import json
import subprocess
import sys

import numpy as np
import onnxruntime
import pytest

import cvxnn
from cvxnn.cli import main

NAMES = ["a", "b", "c"]


def write_csv(path, X, y=None, names=NAMES, target="t"):
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        columns = X if y is None else np.column_stack([X.astype(object), y])
        if names is not None:
            writer.writerow(names if y is None else [*names, target])
        writer.writerows(columns.tolist())
    return path


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 3))
    return X, np.abs(X[:, 0]) + X[:, 1]


@pytest.fixture
def table(tmp_path, data):
    return write_csv(tmp_path / "data.csv", *data)


@pytest.fixture
def labelled(tmp_path, data):
    labels = np.array(["high, very" if value > 0.5 else "low" for value in data[1]])
    return write_csv(tmp_path / "labels.csv", data[0], labels), labels


@pytest.fixture
def run(capsys):
    """Return a function that runs a command and returns its status, stdout and stderr."""

    def call(*arguments):
        status = main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return call


@pytest.fixture
def regression(table, tmp_path, run):
    model = tmp_path / "model.npz"
    command = ("fit", table, "--target", "t", "--task", "regression", "-o", model)
    assert run(*command, "--n-patterns", 50)[0] == 0
    return model


def test_fit_is_that_of_the_estimator(regression, data):
    expected = cvxnn.ReLURegressor(n_patterns=50).fit(*data)
    network = cvxnn.Network.load(regression)
    assert np.array_equal(network.predict(data[0]), expected.predict(data[0]))


def test_options_reach_the_estimator(table, data, tmp_path, run):
    options = {"--alpha": 0.02, "--activation": "relu", "--patterns": "sample", "--loss": "huber"}
    options |= {"--n-patterns": 20, "--tol": 1e-3, "--max-iter": 500, "--seed": 3, "--threads": 1}
    flat = [text for option in options.items() for text in option]
    model = tmp_path / "m"
    base = ("fit", table, "--target", "t", "--task", "regression", "-o", model, "--json")
    status, out, _ = run(*base, *flat, "--no-intercept", "--no-standardize")
    expected = cvxnn.ReLURegressor(
        0.02,
        activation="relu",
        loss="huber",
        n_patterns=20,
        tol=1e-3,
        max_iter=500,
        random_state=3,
        fit_intercept=False,
        standardize=False,
    ).fit(*data)
    found = json.loads(out)
    assert status == 0
    assert found["objective"] == expected.objective_
    assert found["lower_bound"] == expected.lower_bound_
    assert found["train_score"] == expected.score(*data)
    assert not cvxnn.Network.load(model).intercepts_[1].any()


def test_penalties_reach_the_estimator_and_are_not_certified(table, data, tmp_path, run):
    model = tmp_path / "m.npz"
    base = ("fit", table, "--target", "t", "--task", "regression", "-o", model, "--json")
    relu = ("--activation", "relu", "--n-patterns", 20, "--alpha", 0.05, "--no-standardize")
    status, out, _ = run(*base, *relu, "--penalty", "elastic", "--l2-ratio", 0.3)
    options = {"activation": "relu", "n_patterns": 20, "standardize": False}
    expected = cvxnn.ReLURegressor(0.05, penalty="elastic", l2_ratio=0.3, **options).fit(*data)
    assert status == 0
    assert json.loads(out)["objective"] == expected.objective_
    assert json.loads(run("info", model, "--json")[1])["penalty"] == "elastic"
    status, _, message = run("certify", model, table, "--target", "t")
    assert status == 2
    assert "was fitted with the penalty 'elastic', and a certificate is for weight decay" in message
    status, out, _ = run(
        *base, "--activation", "gated_relu", "--penalty", "sparse_group", "--l1-ratio", 0.5
    )
    expected = cvxnn.ReLURegressor(
        activation="gated_relu", penalty="sparse_group", l1_ratio=0.5
    ).fit(*data)
    assert json.loads(out)["objective"] == expected.objective_
    status, _, message = run(*base, "--penalty", "none")
    assert status == 2
    assert "penalty must be one of" in message


def test_alpha_ratio_counts_from_the_empty_network(table, tmp_path, run):
    base = ("fit", table, "--target", "t", "--task", "regression", "-o", tmp_path / "m", "--json")
    widths = {}
    for ratio in (0.999, 0.3):
        status, out, _ = run(*base, "--alpha-ratio", ratio)
        assert status == 0
        widths[ratio] = json.loads(out)
    assert widths[0.3]["alpha"] == pytest.approx(widths[0.999]["alpha"] * 0.3 / 0.999)
    assert widths[0.999]["n_neurons"] <= 1
    assert run(*base, "--alpha", widths[0.999]["alpha"] * 1.01)[0] == 0
    assert cvxnn.Network.load(tmp_path / "m").width == 0


@pytest.mark.parametrize("target", ["t", "3", "-1"])
def test_target_by_name_or_index(table, regression, tmp_path, run, target):
    base = ("fit", table, "--task", "regression", "-o", tmp_path / "m", "--n-patterns", 50)
    assert run(*base, "--target", target)[0] == 0
    assert (tmp_path / "m").read_bytes() == regression.read_bytes()


def test_labels_come_back_as_they_were(labelled, tmp_path, run):
    path, labels = labelled
    model = tmp_path / "m.npz"
    command = ("fit", path, "--target", "t", "--task", "classification", "-o", model, "--json")
    status, out, _ = run(*command)
    assert status == 0
    predicted = run("predict", model, path)[1].splitlines()
    assert np.mean(np.array(predicted) == labels) == json.loads(out)["train_score"] > 0.9
    scores = [float(line) for line in run("predict", model, path, "--scores")[1].splitlines()]
    assert [{True: "low", False: "high, very"}[score > 0] for score in scores] == predicted


@pytest.mark.parametrize("loss", ["logistic", "softmax"])
def test_several_classes_of_integers(tmp_path, data, run, loss):
    X, values = data
    y = np.digitize(values, [0.0, 1.0]) + 7
    path = write_csv(tmp_path / "d.csv", X, y)
    base = ("fit", path, "--target", "t", "--task", "classification", "--alpha", 0.02)
    assert run(*base, "--loss", loss, "-o", tmp_path / "m")[0] == 0
    expected = cvxnn.ReLUClassifier(0.02, loss=loss).fit(X, y).predict(X)
    assert json.loads(run("predict", tmp_path / "m", path, "--json")[1]) == {
        "predictions": expected.tolist()
    }


def test_columns_are_found_by_name(regression, data, tmp_path, run):
    X, _ = data
    other = np.column_stack([X[:, 2], np.full(len(X), 9.0), X[:, 0], X[:, 1]])
    path = write_csv(tmp_path / "other.csv", other, names=["c", "extra", "a", "b"])
    out = run("predict", regression, path)[1]
    found = np.array([float(line) for line in out.splitlines()])
    assert np.array_equal(found, cvxnn.Network.load(regression).predict(X))


def test_networks_saved_in_python(table, data, tmp_path, run):
    network = cvxnn.Network([np.eye(3), np.ones((3, 1))], [np.zeros(3), [0.5]])
    network.save(tmp_path / "own.npz")
    out = run("predict", tmp_path / "own.npz", table, "--target", "t")[1]
    assert [float(line) for line in out.splitlines()] == network.predict(data[0]).tolist()
    arguments = (tmp_path / "own.npz", table, "--target", "t")
    status, out, _ = run("certify", *arguments, "--alpha", 0.1, "--method", "bound", "--json")
    assert status == 1
    assert json.loads(out)["gap_rel"] > 0
    status, _, err = run("certify", *arguments)
    assert status == 2
    assert "--alpha" in err


@pytest.mark.parametrize("suffix", [".csv", ".npz"])
def test_predictions_in_a_file(regression, table, data, tmp_path, run, suffix):
    output = tmp_path / f"out{suffix}"
    assert run("predict", regression, table, "-o", output) == (0, "", "")
    expected = cvxnn.Network.load(regression).predict(data[0])
    if suffix == ".npz":
        assert np.array_equal(np.load(output)["y"], expected)
    else:
        assert np.array_equal(np.loadtxt(output, skiprows=1), expected)


@pytest.mark.parametrize(
    "names", [("000", "001"), ("1", "1.0"), ("1.5", "2.5"), ("9" * 30, "8" * 30), ("1_0", "10")]
)
def test_labels_that_look_like_numbers_stay_as_they_are(names, data, tmp_path, run):
    labels = np.where(data[1] > 0.5, *names)
    path, model = write_csv(tmp_path / "d.csv", data[0], labels), tmp_path / "m.npz"
    fit = ("fit", path, "--target", "t", "--task", "classification", "-o", model)
    assert run(*fit, "--n-patterns", "20")[0] == 0
    status, out, _ = run("predict", model, path, "--target", "t")
    assert status == 0
    assert set(out.split()) == set(names)


def test_string_labels_with_commas_in_a_file(labelled, tmp_path, run):
    path, _ = labelled
    base = ("fit", path, "--target", "t", "--task", "classification", "-o", tmp_path / "m")
    assert run(*base)[0] == 0
    assert run("predict", tmp_path / "m", path, "-o", tmp_path / "out.csv")[0] == 0
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert [row[0] for row in rows[1:]] == run("predict", tmp_path / "m", path)[1].splitlines()


def test_path_falls_from_the_empty_network(table, run):
    base = ("path", table, "--target", "t", "--task", "regression", "--n-alphas", 4, "--eps", 0.1)
    status, out, _ = run(*base)
    assert status == 0
    rows = list(csv.DictReader(out.splitlines()))
    assert len(rows) == 4
    alphas = [float(row["alpha"]) for row in rows]
    assert alphas[3] == pytest.approx(0.1 * alphas[0])
    assert rows[0]["n_neurons"] == "0"
    assert [float(row["train_score"]) for row in rows] == sorted(
        float(row["train_score"]) for row in rows
    )
    same = json.loads(run(*base, "--json")[1])["path"]
    assert [row["alpha"] for row in same] == pytest.approx(alphas)


def test_certificate_of_a_relu_network(tmp_path, data, run):
    X, y = data[0][:25, :2], data[1][:25]
    path = write_csv(tmp_path / "small.csv", X, y, names=NAMES[:2])
    model = tmp_path / "m.npz"
    fit = ("fit", path, "--target", "t", "--task", "regression", "-o", model, "--no-standardize")
    fit = (*fit, "--activation", "relu", "--patterns", "exact", "--alpha", 0.05, "--tol", 1e-8)
    assert run(*fit)[0] == 0
    status, out, err = run("certify", model, path, "--target", "t", "--json")
    found = json.loads(out)
    assert (status, err, found["status"], found["kind"]) == (0, "", "optimal", "proof")
    expected = cvxnn.certify(cvxnn.Network.load(model), X, y, 0.05)
    assert found["objective"] == pytest.approx(expected.objective)
    status, out, _ = run("certify", model, path, "--target", "t", "--alpha", 0.01)
    assert status == 1
    assert "optimal" not in out


def test_certificate_takes_labels_of_the_model(tmp_path, data, run):
    X, labels = data[0][:25, :2], np.where(data[1][:25] > 0.5, "b", "a")
    path = write_csv(tmp_path / "small.csv", X, labels, names=NAMES[:2])
    model = tmp_path / "m.npz"
    fit = ("fit", path, "--target", "t", "--task", "classification", "-o", model, "--tol", 1e-8)
    fit = (*fit, "--activation", "relu", "--patterns", "exact", "--alpha", 0.02)
    assert run(*fit, "--no-standardize")[0] == 0
    status, _, err = run("certify", model, path, "--target", "t")
    assert (status, err) == (0, "")
    other = write_csv(tmp_path / "x.csv", X, np.where(labels == "a", "z", labels), names=NAMES[:2])
    status, _, err = run("certify", model, other, "--target", "t")
    assert status == 2
    assert "label z" in err
    assert run(*fit)[0] == 0
    assert "--no-standardize" in run("certify", model, path, "--target", "t")[2]


def test_unfinished_fits_leave_a_model_and_say_so(table, tmp_path, run):
    model = tmp_path / "m"
    base = ("fit", table, "--target", "t", "--task", "regression", "-o", model)
    hard = (*base, "--alpha", 1e-4, "--tol", 1e-12, "--max-iter", 1)
    status, out, err = run(*hard)
    assert status == 1
    assert "max_iter" in out
    assert "warning" in err
    assert cvxnn.Network.load(model).n_features_in_ == 3
    assert run(*hard, "--quiet")[2] == ""


def test_onnx_export(regression, data, tmp_path, run):
    assert run("export", regression, "-o", tmp_path / "m.onnx") == (0, "", "")
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    found = session.run(None, {"X": data[0]})[0][:, 0]
    assert np.allclose(found, cvxnn.Network.load(regression).predict(data[0]), rtol=1e-10)


def test_torch_export(regression, data, tmp_path, run):
    torch = pytest.importorskip("torch", reason="torch, several GB, is not in the extra test")
    assert run("export", regression, "-o", tmp_path / "m.pt") == (0, "", "")
    back = cvxnn.Network.from_torch(torch.load(tmp_path / "m.pt"))
    assert np.allclose(back.predict(data[0]), cvxnn.Network.load(regression).predict(data[0]))


def test_missing_extra_is_named(regression, tmp_path, run, no_module):
    no_module("onnx")
    status, _, err = run("export", regression, "-o", tmp_path / "m.onnx")
    assert status == 2
    assert "cvxnn[onnx]" in err
    assert not (tmp_path / "m.onnx").exists()


def test_progress_is_for_terminals(table, tmp_path, run, monkeypatch):
    base = ("fit", table, "--target", "t", "--task", "regression", "-o", tmp_path / "m")
    assert run(*base)[2] == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    shown = run(*base)[2]
    assert shown.startswith("\ralpha")
    assert shown.endswith("\r\x1b[K")
    assert run(*base, "--quiet")[2] == ""


def test_interrupt(table, tmp_path, run, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(cvxnn.ReLURegressor, "fit", interrupt)
    base = ("fit", table, "--target", "t", "--task", "regression", "-o", tmp_path / "m")
    status, out, err = run(*base)
    assert (status, out) == (130, "")
    assert "interrupted" in err
    assert not (tmp_path / "m").exists()


# A command in place of the real one, in a process that Ctrl-C reaches.
PROCESS = """
import signal, sys
signal.signal(signal.SIGINT, signal.{handler})
import cvxnn.cli
from cvxnn.__main__ import main
def command():
    {command}
    return 0
cvxnn.cli.main = command
status = main()
signal.raise_signal(signal.SIGINT)  # comes too late
sys.exit(status)
"""


@pytest.mark.parametrize(
    ("handler", "command", "wanted"),
    [
        ("default_int_handler", "signal.raise_signal(signal.SIGINT)", 130),
        ("default_int_handler", "exec('signal.raise_signal(signal.SIGINT)')", 130),
        ("default_int_handler", "pass", 0),
        ("SIG_IGN", "signal.raise_signal(signal.SIGINT)", 0),
    ],
)
def test_interrupted_process(handler, command, wanted):
    code = PROCESS.format(handler=handler, command=command)
    child = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert (child.returncode, child.stdout) == (wanted, "")
    assert child.stderr == ("cvxnn: interrupted\n" if wanted == 130 else "")


def test_round_trip_of_processes(table, tmp_path):
    def call(*arguments):
        command = [sys.executable, "-m", "cvxnn", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    fit = ("fit", table, "--target", "t", "--task", "regression", "-o", tmp_path / "m.npz")
    done = call(*fit, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["status"] == "optimal"
    done = call("predict", tmp_path / "m.npz", table)
    assert (done.returncode, done.stderr, len(done.stdout.splitlines())) == (0, "", 40)
    done = call("predict", tmp_path / "no.npz", table)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("cvxnn: error: there is no file")
    assert len(done.stderr.splitlines()) == 1

"""The reference optima of the files in ``data``, and the data that they belong to."""

import json
from pathlib import Path

import numpy as np

import cvxnn
from cvxnn.losses import resolve_loss

_DATA = Path(__file__).parent / "data"
REFERENCE = json.loads((_DATA / "two_layer.json").read_text())
SCALAR = REFERENCE["scalar"]
ARCHITECTURES = {
    case["id"]: case for case in json.loads((_DATA / "cnn_bn_attention.json").read_text())["cases"]
}
_LOSSES = {"huber": cvxnn.Huber(0.5)}


def loss_of(name):
    """Return the loss of a case as the library takes it."""
    return _LOSSES.get(name, name)


def architecture_arrays(name):
    """Return the arrays of a case of an architecture by their names, from its line of code."""
    arrays = {"np": np}
    exec(ARCHITECTURES[name]["gen"], arrays)
    return arrays


def as_targets(y, loss):
    """Return labels -1 and +1 for the losses that want them."""
    return np.where(y >= 0, 1.0, -1.0) if resolve_loss(loss_of(loss)).labels else y


def case_data(case):
    """Return X and targets of a case."""
    rng = np.random.default_rng(case["seed"])
    X = rng.standard_normal((case["n"], case["d"]))
    y = rng.standard_normal(case["n"])
    if case.get("bias"):
        X = np.column_stack([X, np.ones(case["n"])])
    return X, as_targets(y, case.get("loss", "squared"))


def sampled_gates_data(loss):
    """Return X, targets and patterns of the case with 100 sampled gates."""
    rng = np.random.default_rng(60)
    X = rng.standard_normal((100, 8))
    y = np.maximum(X @ rng.standard_normal((8, 5)), 0) @ rng.standard_normal(5)
    y += 0.5 * rng.standard_normal(100)
    gates = np.random.default_rng(61).standard_normal((8, 100))
    return X, as_targets(y, loss), cvxnn.activation_patterns(X, gates)

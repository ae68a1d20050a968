"""Losses by name and as objects."""

import numpy as np
import pytest

import cvxnn
from cvxnn.losses import resolve_loss

NAMES = {"squared": False, "huber": False, "logistic": True, "squared_hinge": True, "hinge": True}


def value(loss, fit, target):
    """Return the loss of one sample: the objective of a network that outputs a constant."""
    network = cvxnn.Network([np.zeros((1, 0)), np.zeros((0, 1))], [[], [fit]])
    return network.objective([[0.0]], [target], 1.0, loss=loss)


@pytest.mark.parametrize("name", NAMES)
def test_names(name):
    loss = resolve_loss(name)
    assert (loss.name, loss.labels) == (name, NAMES[name])


def test_huber_is_huber_with_delta_one():
    assert resolve_loss("huber") == resolve_loss(cvxnn.Huber())
    assert resolve_loss(cvxnn.Huber(2)).delta == 2.0
    assert isinstance(resolve_loss(cvxnn.Huber(2)).delta, float)


@pytest.mark.parametrize("name", ["Squared", "absolute", "", None, 3, ["squared"], cvxnn.Huber])
def test_unknown_loss(name):
    with pytest.raises(ValueError, match=r"^loss must be one of \['hinge', 'huber', 'log"):
        resolve_loss(name)


class TestHuber:
    def test_is_a_value(self):
        assert cvxnn.Huber(0.5) == cvxnn.Huber(delta=0.5)
        assert cvxnn.Huber(0.5) != cvxnn.Huber()
        assert hash(cvxnn.Huber(0.5)) == hash(cvxnn.Huber(0.5))
        assert repr(cvxnn.Huber(0.5)) == "Huber(delta=0.5)"

    @pytest.mark.parametrize("delta", [0, -1.0, float("nan"), float("inf")])
    def test_delta_must_be_positive(self, delta):
        with pytest.raises(ValueError, match=r"^delta must be positive and finite"):
            cvxnn.Huber(delta)

    @pytest.mark.parametrize("delta", ["1", None, True, [1.0]])
    def test_delta_must_be_a_number(self, delta):
        with pytest.raises(TypeError, match=r"^delta must be a number"):
            cvxnn.Huber(delta)

    @pytest.mark.parametrize("sign", [-1.0, 1.0])
    def test_values(self, sign):
        huber = cvxnn.Huber(0.5)
        assert value(huber, sign * 0.25, 0.0) == pytest.approx(0.03125, rel=1e-15)
        assert value(huber, sign * 0.5, 0.0) == pytest.approx(0.125, rel=1e-15)
        assert value(huber, sign * 2.0, 0.0) == pytest.approx(0.5 * (2.0 - 0.25), rel=1e-15)

    def test_large_delta_is_squared(self, problem):
        X, y, patterns = problem.X, problem.y, problem.patterns
        huber = cvxnn.solve(X, y, patterns, alpha=0.1, loss=cvxnn.Huber(1e3), tol=1e-10)
        squared = cvxnn.solve(X, y, patterns, alpha=0.1, tol=1e-10)
        assert huber.primal == pytest.approx(squared.primal, rel=1e-9)

    def test_outlier_pulls_with_delta_only(self):
        # One feature, one pattern, weight zero: the fit of a location. Zero gradient: the outlier
        # pulls with delta, the two others with their residuals.
        X, y = np.ones((3, 1)), np.array([0.0, 0.1, 1e6])
        patterns = cvxnn.activation_patterns(X, [[1.0]])
        result = cvxnn.solve(
            X, y, patterns, alpha=1.0, weights=[0.0], loss=cvxnn.Huber(0.2), tol=1e-9
        )
        assert result.blocks[0, 0] == pytest.approx((0.0 + 0.1 + 0.2) / 2, rel=1e-5)


@pytest.mark.parametrize(
    ("loss", "fit", "target", "wanted"),
    [
        ("squared", 3.0, 1.0, 2.0),
        ("logistic", 0.0, 1.0, np.log(2.0)),
        ("logistic", 3.0, -1.0, np.log1p(np.exp(3.0))),
        ("logistic", 1000.0, -1.0, 1000.0),
        ("logistic", 1000.0, 1.0, 0.0),
        ("squared_hinge", 0.25, 1.0, 0.28125),
        ("squared_hinge", 2.0, -1.0, 4.5),
        ("squared_hinge", -7.0, -1.0, 0.0),
        ("hinge", 0.25, 1.0, 0.75),
        ("hinge", 2.0, -1.0, 3.0),
        ("hinge", -7.0, -1.0, 0.0),
    ],
)
def test_values(loss, fit, target, wanted):
    assert value(loss, fit, target) == pytest.approx(wanted, rel=1e-14)

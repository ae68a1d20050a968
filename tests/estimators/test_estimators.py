"""What the estimators learn, certify and hand over."""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine, make_regression
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import cvxnn


@pytest.fixture(scope="module")
def cancer():
    return train_test_split(*load_breast_cancer(return_X_y=True), random_state=0)


def test_classifier_is_certified_and_generalises(cancer):
    X, X_test, y, y_test = cancer
    model = cvxnn.ReLUClassifier(tol=1e-5).fit(X, y)
    assert model.status_ == "optimal"
    assert 0 <= model.dual_gap_ <= 1e-5 * model.objective_
    assert model.objective_ - model.lower_bound_ == pytest.approx(model.dual_gap_)
    linear = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    assert model.score(X_test, y_test) >= linear.score(X_test, y_test) - 0.02
    odds = model.predict_proba(X_test)
    np.testing.assert_allclose(odds.sum(axis=1), 1.0)
    np.testing.assert_array_equal(model.classes_[odds.argmax(axis=1)], model.predict(X_test))


@pytest.mark.parametrize("kind", [cvxnn.ReLUClassifier, cvxnn.ReLUClassifierCV])
def test_a_fit_that_fails_leaves_nothing_behind(kind):
    X = np.random.default_rng(0).standard_normal((60, 4))
    options = {} if kind is cvxnn.ReLUClassifier else {"n_alphas": 2, "cv": 2}
    model = kind(n_patterns=30, **options).fit(X, np.where(X[:, 0] > 0, "a", "b"))
    model.tol = -1.0
    with pytest.raises(ValueError, match=r"^tol must be positive"):
        model.fit(X, np.array(["u", "v", "w"])[np.arange(60) % 3])
    for use in (model.predict, model.predict_proba, model.transform, model.decision_function):
        with pytest.raises(NotFittedError):
            use(X)
    model.tol = 1e-4
    assert set(model.fit(X, np.where(X[:, 1] > 0, "c", "d")).predict(X)) == {"c", "d"}


@pytest.mark.parametrize("name", ["fit_intercept", "standardize"])
@pytest.mark.parametrize("value", ["false", None, 1, np.array([1, 2])])
def test_flags_are_true_or_false(name, value):
    for kind in (cvxnn.ReLURegressor, cvxnn.ConvReLURegressor, cvxnn.ConvexFNO):
        with pytest.raises(TypeError, match=f"^{name} must be True or False, got "):
            kind(**{name: value}).fit(np.ones((4, 2, 2)), np.ones(4))


def test_network_works_on_raw_inputs(cancer, tmp_path):
    X, X_test, y, _ = cancer
    for activation in ("relu", "gated_relu"):
        model = cvxnn.ReLUClassifier(activation=activation).fit(X, y)
        model.network_.save(tmp_path / "net.npz")
        loaded = cvxnn.Network.load(tmp_path / "net.npz")
        np.testing.assert_array_equal(loaded.predict(X_test), model.decision_function(X_test))
        assert model.coefs_[0].shape == (X.shape[1], model.network_.width)
        if activation == "relu":
            assert model.gates_ is None
        else:
            assert model.gates_.shape == model.coefs_[0].shape


def test_many_classes_are_one_against_the_rest():
    X, y = load_wine(return_X_y=True)
    names = np.array(["red", "rose", "white"])[y]
    model = cvxnn.ReLUClassifier().fit(X, names)
    assert model.classes_.tolist() == ["red", "rose", "white"]
    assert model.decision_function(X).shape == (len(X), 3)
    assert model.score(X, names) > 0.98
    rose = cvxnn.ReLUClassifier().fit(X, names == "rose")
    np.testing.assert_allclose(
        model.decision_function(X)[:, 1], rose.decision_function(X), rtol=1e-6, atol=1e-8
    )


def test_regressor_beats_ridge_on_a_kinked_target():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((400, 4))
    y = 100 * np.abs(X[:, 0]) + X[:, 1] + 5
    model = cvxnn.ReLURegressor(alpha=0.001).fit(X[:300], y[:300])
    assert model.score(X[300:], y[300:]) > 0.95
    assert Ridge().fit(X[:300], y[:300]).score(X[300:], y[300:]) < 0.2


def test_several_targets_are_fitted_one_by_one():
    X, Y = make_regression(80, 5, n_targets=2, random_state=0)
    both = cvxnn.ReLURegressor().fit(X, Y)
    assert both.predict(X).shape == (80, 2)
    for k in range(2):
        single = cvxnn.ReLURegressor().fit(X, Y[:, [k]])
        assert single.predict(X).shape == (80, 1)
        # Different CPU levels stop at different points within tol.
        np.testing.assert_allclose(
            both.predict(X)[:, k], single.predict(X)[:, 0], rtol=1e-3, atol=1e-3 * Y[:, k].std()
        )


def test_row_order_threads_and_repetition_change_no_bit():
    X, y = load_diabetes(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(X))
    base = cvxnn.ReLURegressor(n_threads=1).fit(X, y).predict(X)
    shuffled = cvxnn.ReLURegressor(n_threads=2).fit(X[order], y[order]).predict(X)
    np.testing.assert_array_equal(base, shuffled)
    weighted = cvxnn.ReLURegressor().fit(X, y, sample_weight=np.full(len(X), 2.0))
    repeated = cvxnn.ReLURegressor().fit(np.vstack([X, X]), np.r_[y, y])
    np.testing.assert_array_equal(weighted.predict(X), repeated.predict(X))


def test_seed_decides_and_nothing_else():
    X, y = load_diabetes(return_X_y=True)
    first, same, other = (
        cvxnn.ReLURegressor(random_state=seed).fit(X, y).predict(X) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, same)
    assert (first != other).any()


def test_own_gates_are_used():
    X, y = load_diabetes(return_X_y=True)
    gates = cvxnn.sample_gates(X.shape[1] + 1, 30, random_state=5)
    own = cvxnn.ReLURegressor(gates=gates).fit(X, y)
    drawn = cvxnn.ReLURegressor(gates="gaussian", n_patterns=30, random_state=5).fit(X, y)
    np.testing.assert_array_equal(own.predict(X), drawn.predict(X))


def test_larger_alpha_gives_smaller_networks():
    X, y = load_diabetes(return_X_y=True)
    widths = [cvxnn.ReLURegressor(alpha=a).fit(X, y).network_.width for a in (0.005, 0.05, 10.0)]
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] == 0
    constant = cvxnn.ReLURegressor(alpha=10.0).fit(X, y).predict(X)
    np.testing.assert_allclose(constant, y.mean())


def test_units_of_features_and_targets_do_not_matter():
    X, y = load_diabetes(return_X_y=True)
    units = np.logspace(-6, 6, X.shape[1])
    base = cvxnn.ReLURegressor(tol=1e-8).fit(X, y).predict(X)
    scaled = (
        cvxnn.ReLURegressor(tol=1e-8)
        .fit(X * units + 3 * units, 1e6 * y)
        .predict(X * units + 3 * units)
    )
    np.testing.assert_allclose(scaled / 1e6, base, rtol=1e-3)


def test_unfinished_fit_warns_and_says_so():
    X, y = load_diabetes(return_X_y=True)
    with pytest.warns(ConvergenceWarning, match="max_iter"):
        model = cvxnn.ReLURegressor(max_iter=1, alpha=1e-3).fit(X, y)
    assert model.status_ == "max_iter"
    assert model.lower_bound_ < model.objective_


def test_callback_watches_each_class():
    X, y = load_wine(return_X_y=True)
    seen = []
    cvxnn.ReLUClassifier().fit(X, y, callback=seen.append)
    assert sum(info.iteration == 1 for info in seen) == 3


def test_works_in_scikit_learn_tools(cancer):
    X, _, y, _ = cancer
    search = GridSearchCV(cvxnn.ReLUClassifier(n_patterns=50), {"alpha": [0.003, 0.03]}, cv=2)
    assert search.fit(X, y).best_score_ > 0.9
    scores = cross_val_score(cvxnn.ReLUClassifier(n_patterns=50), X, y, cv=3, n_jobs=2)
    assert scores.min() > 0.9


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ({"alpha": 0.0}, "alpha"),
        ({"alpha": -1.0}, "alpha"),
        ({"activation": "tanh"}, "activation"),
        ({"loss": "logistic"}, "loss"),
        ({"n_patterns": 0}, "n_patterns"),
        ({"gates": np.zeros((2, 3))}, "gates"),
        ({"tol": 0.0}, "tol"),
        ({"max_iter": 0}, "max_iter"),
        ({"time_limit": -1.0}, "time_limit"),
        ({"n_threads": 0}, "n_threads"),
        ({"random_state": -1}, "random_state"),
    ],
)
def test_bad_parameters_are_named(parameters, name):
    X, y = load_diabetes(return_X_y=True)
    with pytest.raises(ValueError, match=name):
        cvxnn.ReLURegressor(**parameters).fit(X, y)


def test_probabilities_belong_to_the_logistic_loss():
    model = cvxnn.ReLUClassifier(loss="squared_hinge")
    assert not hasattr(model, "predict_proba")
    with pytest.raises(ValueError, match="loss"):
        cvxnn.ReLUClassifier(loss="squared").fit([[0.0], [1.0]], [0, 1])
    with pytest.raises(ValueError, match="two classes"):
        cvxnn.ReLUClassifier().fit([[0.0], [1.0]], [1, 1])

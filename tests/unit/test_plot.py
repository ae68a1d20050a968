"""Pictures: what they show is what the results hold."""

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.collections import LineCollection

import cvxnn
from cvxnn import plot

NET = cvxnn.Network([[[1.0, -1.0]], [[1.0], [1.0]]], [[0.0, 0.0], [0.0]])
FIVE = np.array([[-2.0], [-1.0], [0.0], [1.0], [2.0]])


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def path(problem):
    return cvxnn.solve_path(problem.X, problem.y, problem.patterns, n_alphas=6, eps=0.05)


def labels(ax):
    return [line.get_label() for line in ax.get_lines()]


def test_path_norms_are_those_of_the_blocks(path):
    ax = plot.plot_path(path)
    lines = ax.get_lines()
    assert len(lines) == len(set().union(*(result.active_set.tolist() for result in path)))
    heights = np.array([line.get_ydata() for line in lines])
    for k, result in enumerate(path):
        norms = np.linalg.norm(result.blocks, axis=1)
        shown = np.sort(heights[heights[:, k] > 0, k])
        np.testing.assert_allclose(shown, np.sort(norms), rtol=1e-14)
    np.testing.assert_array_equal(lines[0].get_xdata(), path.alphas)
    assert ax.get_xscale() == "log"
    assert ax.xaxis_inverted()


@pytest.mark.parametrize(("quantity", "field"), [("active", "n_active"), ("objective", "primal")])
def test_path_of_one_number_an_alpha(path, quantity, field):
    (line,) = plot.plot_path(path, quantity=quantity).get_lines()
    np.testing.assert_array_equal(line.get_ydata(), [getattr(r, field) for r in path])


def test_path_with_held_out_data(path, make_problem):
    test = make_problem(seed=1)
    ax = plot.plot_path(path, test.X, test.y)
    (line,) = ax.figure.axes[-1].get_lines()
    errors = [np.mean((test.y - r.network().predict(test.X)) ** 2) for r in path]
    np.testing.assert_allclose(line.get_ydata(), errors, rtol=1e-12)

    def largest_error(y, outputs):
        return np.abs(y - outputs).max()

    ax = plot.plot_path(path, test.X, test.y, score=largest_error)
    (line,) = ax.figure.axes[-1].get_lines()
    assert line.get_ydata()[-1] == np.abs(test.y - path[-1].network().predict(test.X)).max()
    assert ax.figure.axes[-1].get_ylabel() == "held-out largest error"


def test_path_of_several_outputs(problem):
    Y = np.column_stack([problem.y, problem.X[:, 1]])
    path = cvxnn.solve_path(problem.X, Y, problem.patterns, n_alphas=3, eps=0.3)
    ax = plot.plot_path(path, problem.X, Y)
    (line,) = ax.figure.axes[-1].get_lines()
    last = np.mean((Y - path[-1].network().predict(problem.X)) ** 2)
    assert line.get_ydata()[-1] == pytest.approx(last, rel=1e-12)


def test_drawing_twice_on_the_same_axes_keeps_the_direction(path):
    ax = plot.plot_path(path, quantity="active")
    assert plot.plot_path(path, quantity="active", ax=ax) is ax
    assert ax.xaxis_inverted()


@pytest.mark.parametrize("name", ["ReLURegressorCV", "ReLUClassifierCV"])
def test_scores_are_those_of_the_chosen_number_of_patterns(name):
    rng = np.random.default_rng(4)
    X = rng.standard_normal((40, 2))
    y = X[:, 0] * X[:, 1]
    if "Classifier" in name:
        y = y > 0
    model = getattr(cvxnn, name)(n_patterns=[40, 2], n_alphas=3, eps=0.1, cv=2).fit(X, y)
    chosen = [40, 2].index(model.best_n_patterns_)
    scores = model.mse_path_ if "Regressor" in name else model.score_path_
    ax = plot.plot_path(model)
    assert not np.array_equal(*scores.mean(axis=2))
    np.testing.assert_array_equal(ax.get_lines()[0].get_ydata(), scores[chosen].mean(axis=1))


@pytest.mark.parametrize(
    "name", ["ReLURegressorCV", "ReLUClassifierCV", "ConvReLURegressorCV", "ConvReLUClassifierCV"]
)
def test_path_of_a_cross_validation(problem, name):
    X = problem.X[:, None] if "Conv" in name else problem.X
    y = problem.y if "Regressor" in name else problem.y > 0
    model = getattr(cvxnn, name)(n_alphas=4, eps=0.1, n_patterns=30, cv=3)
    with pytest.raises(ValueError, match=f"path must be fitted, got a {name} that is not"):
        plot.plot_path(model)
    ax = plot.plot_path(model.fit(X, y))
    scores = model.mse_path_ if "Regressor" in name else model.score_path_
    mean, chosen = ax.get_lines()
    np.testing.assert_array_equal(mean.get_ydata(), scores.mean(axis=1))
    assert set(chosen.get_xdata()) == {model.alpha_}
    (band,) = ax.collections
    error = scores[0].std(ddof=1) / np.sqrt(3)
    heights = [h for x, h in band.get_paths()[0].vertices if x == model.alphas_[0]]
    assert max(heights) == pytest.approx(scores[0].mean() + error)
    assert min(heights) == pytest.approx(scores[0].mean() - error)
    with pytest.raises(ValueError, match="must be None for a cross-validation"):
        plot.plot_path(model, problem.X, y)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((np.ones((3, 4)), np.ones(3)), {}, ValueError, "X_test must have 5 features, got 4"),
        ((np.full((3, 5), np.nan), np.ones(3)), {}, ValueError, "X_test contains NaN"),
        ((np.ones((3, 5)), [1.0, np.inf, 1.0]), {}, ValueError, "y_test contains NaN or infinity"),
        ((np.ones((3, 5)), np.ones(2)), {}, ValueError, "y_test must have shape"),
        ((np.ones((3, 5)),), {}, ValueError, "X_test and y_test must be given together"),
        ((), {"score": "r2"}, TypeError, "score must be callable or None, got str"),
        ((), {"score": max}, ValueError, "score must be None without X_test"),
        ((), {"quantity": "width"}, ValueError, "quantity must be one of"),
        ((), {"ax": 3}, TypeError, "ax must be a matplotlib Axes or None, got int"),
    ],
)
def test_path_refuses(path, arguments, options, error, message):
    with pytest.raises(error, match=message):
        plot.plot_path(path, *arguments, **options)
    assert plt.get_fignums() == []


def test_path_refuses_other_types():
    with pytest.raises(
        TypeError, match=r"path must be a PathResult, ReLURegressorCV or .* got int"
    ):
        plot.plot_path(3)
    with pytest.raises(ValueError, match="path must have at least one alpha"):
        plot.plot_path(cvxnn.PathResult([]))


def test_convergence_is_the_trace(path):
    result = path[-1]
    for source in (result, result.trace):
        ax = plot.plot_convergence(source)
        primal, dual = ax.get_lines()
        np.testing.assert_array_equal(primal.get_xdata(), [i.elapsed for i in result.trace])
        np.testing.assert_array_equal(primal.get_ydata(), [i.primal for i in result.trace])
        np.testing.assert_array_equal(dual.get_ydata(), [i.dual for i in result.trace])
        assert labels(ax) == ["objective", "lower bound"]
    (line,) = plot.plot_convergence(result, quantity="gap").get_lines()
    np.testing.assert_array_equal(line.get_ydata(), [i.gap / i.primal for i in result.trace])


def test_convergence_with_a_bound_below_zero_is_not_logarithmic():
    info = cvxnn.IterationInfo(1, 1.0, -1.0, 2.0, 1, 1, 0.1, 0.5)
    assert plot.plot_convergence([info]).get_yscale() == "linear"
    positive = cvxnn.IterationInfo(1, 1.0, 0.5, 0.5, 1, 1, 0.1, 0.5)
    assert plot.plot_convergence([positive]).get_yscale() == "log"


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (3, TypeError, "result must be .* got int"),
        ([3], TypeError, "result must be .* got one of int"),
        ([], ValueError, "result must have at least one evaluation of the gap"),
    ],
)
def test_convergence_refuses(value, error, message):
    with pytest.raises(error, match=message):
        plot.plot_convergence(value)


def test_function_is_drawn_by_its_pieces():
    ax = plot.plot_function(NET, FIVE, np.abs(FIVE[:, 0]) + 1)
    line, kinks, data = ax.get_lines()
    np.testing.assert_allclose(line.get_xdata(), [-2.2, 0, 0, 2.2])
    np.testing.assert_allclose(line.get_ydata(), [2.2, 0, 0, 2.2], atol=1e-15)
    np.testing.assert_array_equal(kinks.get_xydata(), [[0.0, 0.0]])
    np.testing.assert_array_equal(data.get_xydata(), np.column_stack([FIVE, abs(FIVE) + 1]))
    assert labels(ax) == ["network", "a neuron switches", "data"]


def test_function_of_a_fit_passes_through_its_predictions():
    X = np.column_stack([FIVE, np.ones(5)])
    result = cvxnn.solve(X, [1.0, -1.0, 1.0, 1.0, -1.0], "exact", activation="relu", alpha=1e-3)
    network = result.network()
    ax = plot.plot_function(network, X, np.ones(5), bias_column=True)
    x, values = ax.get_lines()[0].get_data()
    grid = np.linspace(-2.1, 2.1, 40)
    expected = network.predict(np.column_stack([grid, np.ones(40)]))
    np.testing.assert_allclose(np.interp(grid, x, values), expected, atol=1e-9)


def test_function_of_gated_neurons_jumps_at_the_gate():
    gated = cvxnn.Network(
        [[[1.0]], [[2.0]]],
        [[1.0], [0.5]],
        activation="gated_relu",
        gates=[[2.0]],
        gate_intercepts=[-1.0],
    )
    line, kinks = plot.plot_function(gated, x_range=(0.0, 1.0)).get_lines()
    np.testing.assert_allclose(line.get_xydata(), [[0, 0.5], [0.5, 0.5], [0.5, 3.5], [1, 4.5]])
    np.testing.assert_allclose(kinks.get_xydata(), [[0.5, 2.0]])


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((3,), {}, TypeError, "network must be a fitted .* got int"),
        ((NET, FIVE), {}, ValueError, "X and y must be given together"),
        ((NET, [[np.nan]], [1.0]), {}, ValueError, "X contains NaN"),
        ((NET, FIVE, np.ones(4)), {}, ValueError, "y must have shape"),
        ((NET, np.ones((5, 2)), np.ones(5)), {}, ValueError, "X must have 1 features"),
        ((NET,), {"x_range": (1.0, 1.0)}, ValueError, r"x_range must ascend, got \(1, 1\)"),
        ((NET,), {"x_range": (0.0, np.inf)}, ValueError, "x_range contains NaN or infinity"),
        ((NET,), {"x_range": (0.0,)}, ValueError, "x_range must have shape"),
        ((NET,), {"bias_column": 1}, TypeError, "bias_column must be True or False, got 1"),
        ((NET,), {"bias_column": True}, ValueError, "network must have 2 features, 1 and a column"),
        ((NET,), {"ax": "left"}, TypeError, "ax must be a matplotlib Axes"),
    ],
)
def test_function_refuses(arguments, options, error, message):
    with pytest.raises(error, match=message):
        plot.plot_function(*arguments, **options)
    assert plt.get_fignums() == []


def test_bias_column_must_be_ones():
    network = cvxnn.Network([np.eye(2), np.ones((2, 1))], [np.zeros(2), [0.0]])
    with pytest.raises(ValueError, match="X must have ones in its last column"):
        plot.plot_function(network, np.zeros((3, 2)), np.ones(3), bias_column=True)


def hyperplanes(ax):
    (lines,) = (c for c in ax.collections if isinstance(c, LineCollection))
    return np.array(lines.get_segments())


def test_decision_regions_show_the_hyperplanes_that_cross_them():
    # x0 = 0.5, x0 + x1 = 0, one far away, one of a neuron without an output
    hidden = [[1.0, 1.0, 1.0, 1.0], [0.0, 1.0, 0.0, 0.0]]
    output = [[1.0], [-1.0], [1.0], [0.0]]
    network = cvxnn.Network([hidden, output], [[-0.5, 0.0, -50.0, 0.0], [0.1]])
    X = np.array([[-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]])
    ax = plot.plot_decision_regions(network, X, ["a", "b", "a", "b"], resolution=20)
    segments = hyperplanes(ax)
    assert segments.shape == (2, 2, 2)
    np.testing.assert_allclose(segments[0, :, 0], 0.5)
    np.testing.assert_allclose(np.sort(segments[0, :, 1]), [-1.1, 1.1])
    np.testing.assert_allclose(segments[1].sum(axis=1), 0.0, atol=1e-12)
    a, b = ax.get_lines()
    np.testing.assert_array_equal(a.get_xydata(), X[[0, 2]])
    np.testing.assert_array_equal(b.get_xydata(), X[[1, 3]])


def test_regions_are_those_of_the_predictions():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((90, 2))
    y = np.array(["low", "mid", "top"])[np.digitize(X[:, 0], [-0.5, 0.5])]
    model = cvxnn.ReLUClassifier(n_patterns=40, alpha=1e-2).fit(X, y)
    ax = plot.plot_decision_regions(model, X, y, resolution=20)
    (image,) = ax.get_images()
    left, right, bottom, top = image.get_extent()
    shares = (np.arange(20) + 0.5) / 20
    for i, j in np.ndindex(20, 20):
        centre = [left + (right - left) * shares[j], bottom + (top - bottom) * shares[i]]
        assert model.classes_[image.get_array()[i, j]] == model.predict([centre])[0]
    assert image.origin == "lower"
    assert len(np.unique(image.get_array())) == 3
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts == ["low", "mid", "top", "a neuron switches"]
    with pytest.raises(ValueError, match=r"y must hold labels among classes_, got .*'odd'"):
        plot.plot_decision_regions(model, X, np.full(90, "odd"))


PLANE = cvxnn.Network([np.eye(2), np.ones((2, 1))], [np.zeros(2), [-1.0]])


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((NET, FIVE, np.ones(5)), {}, ValueError, "network must have 2 features, got 1"),
        ((PLANE, [[np.inf, 0.0]], [1]), {}, ValueError, "X contains NaN or infinity"),
        ((PLANE, [[1.0, 0.0]], [np.nan]), {}, ValueError, "y contains NaN or infinity"),
        ((PLANE, np.ones((3, 2)), [1, 2, 3]), {}, ValueError, "y must have at most 2 labels"),
        ((PLANE, np.ones((3, 2)), [1, 2]), {}, ValueError, "y must have shape"),
        ((PLANE, np.ones((2, 2)), [1, 2]), {"resolution": 1}, ValueError, "resolution must be >="),
        ((PLANE, np.ones((2, 2)), [1, 2]), {"ax": 0}, TypeError, "ax must be a matplotlib Axes"),
    ],
)
def test_decision_regions_refuse(arguments, options, error, message):
    with pytest.raises(error, match=message):
        plot.plot_decision_regions(*arguments, **options)
    assert plt.get_fignums() == []


def test_weights_come_as_images_largest_first():
    rng = np.random.default_rng(0)
    hidden, output = rng.standard_normal((6, 5)), np.array([[1.0], [9.0], [-20.0], [0.1], [3.0]])
    hidden /= np.linalg.norm(hidden, axis=0)
    network = cvxnn.Network([hidden, output], [np.zeros(5), [0.0]])
    ax = plot.plot_weights(network, (2, 3), n_columns=2, n_neurons=3)
    (image,) = ax.get_images()
    shown = np.ma.filled(image.get_array(), np.nan)
    assert shown.shape == (5, 7)
    np.testing.assert_array_equal(shown[:2, :3], hidden[:, 2].reshape(2, 3))
    np.testing.assert_array_equal(shown[:2, 4:], hidden[:, 1].reshape(2, 3))
    np.testing.assert_array_equal(shown[3:, :3], hidden[:, 4].reshape(2, 3))
    assert np.isnan(shown[2]).all()
    assert np.isnan(shown[3:, 4:]).all()
    assert image.get_clim() == (-np.nanmax(abs(shown)), np.nanmax(abs(shown)))


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((PLANE, (3, 1)), {}, ValueError, "shape must have 2 pixels, .* got 3 x 1"),
        ((PLANE, 2), {}, TypeError, "shape must be a pair"),
        ((PLANE, (2, 1.0)), {}, TypeError, "shape must be an integer, got float"),
        ((PLANE, (2, 1)), {"n_columns": 0}, ValueError, "n_columns must be >= 1, got 0"),
        ((PLANE, (2, 1)), {"n_neurons": 0}, ValueError, "n_neurons must be >= 1, got 0"),
        ((PLANE, (2, 1)), {"ax": 0}, TypeError, "ax must be a matplotlib Axes"),
        ((None, (2, 1)), {}, TypeError, "network must be a fitted .* got NoneType"),
    ],
)
def test_weights_refuse(arguments, options, error, message):
    with pytest.raises(error, match=message):
        plot.plot_weights(*arguments, **options)
    assert plt.get_fignums() == []


def test_a_network_without_neurons_has_no_weights():
    empty = cvxnn.Network([np.zeros((2, 0)), np.zeros((0, 1))], [np.zeros(0), [0.0]])
    with pytest.raises(ValueError, match="network must have at least one neuron"):
        plot.plot_weights(empty, (1, 2))


def test_own_axes_are_used_and_returned(path):
    _, ax = plt.subplots()
    assert plot.plot_function(NET, ax=ax) is ax
    assert plot.plot_convergence(path[-1], ax=ax) is ax
    assert len(plt.get_fignums()) == 1


def test_matplotlib_waits_for_the_first_picture(run_python):
    code = """
        import sys, cvxnn
        cvxnn.plot.plot_path
        print("matplotlib" in sys.modules)
        net = cvxnn.Network([[[1.0]], [[1.0]]], [[0.0], [0.0]])
        cvxnn.plot.plot_function(net)
        print("matplotlib" in sys.modules)
    """
    assert run_python(code).split() == ["False", "True"]


def test_missing_matplotlib_is_named_with_its_extra(no_module):
    no_module("matplotlib.axes")
    with pytest.raises(ImportError, match=r"matplotlib is not installed: .*'cvxnn\[plot\]'"):
        plot.plot_function(NET)

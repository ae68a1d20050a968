"""Pictures of optimal sets: ranges and kinds of the masses."""

import numpy as np
import pytest
from matplotlib import pyplot as plt

import cvxnn
from cvxnn import plot


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def optima(images, fit):
    """Return an optimal set of these images; only the polytope is looked at."""
    n_rays = images.shape[1]
    rays = (np.ones((1, n_rays)), np.ones(n_rays), np.arange(n_rays))
    return cvxnn.OptimalSet(*rays, images=images, fit=fit, result=None)


def test_optimal_set_shows_ranges_and_kinds():
    # m0 = 2; m1 + m2 = 1; m3 + m4 = 5 and m3 - m5 = 1: m3 in [1, 5]; m6 = 0
    images = np.zeros((5, 7))
    images[0, 0] = images[1, 1] = images[1, 2] = images[2, 3] = images[2, 4] = 1.0
    images[3, 3], images[3, 5], images[4, 6] = 1.0, -1.0, 1.0
    ax = plot.plot_optimal_set(optima(images, np.array([2.0, 1.0, 5.0, 1.0, 0.0])))
    bars = {bar.get_label(): np.array(bar.get_segments()) for bar in ax.collections}
    assert set(bars) == {"fixed", "needed", "free"}
    rays = [text.get_text() for text in ax.get_xticklabels()]
    assert sorted(rays) == ["0", "1", "2", "3", "4", "5"]
    found = {(label, rays[round(bar[0, 0])]): bar[:, 1] for label in bars for bar in bars[label]}
    expected = {
        ("fixed", "0"): (2, 2),
        ("needed", "3"): (1, 5),
        ("free", "4"): (0, 4),
        ("free", "5"): (0, 4),
        ("free", "1"): (0, 1),
        ("free", "2"): (0, 1),
    }
    assert set(found) == set(expected)
    for key, ends in expected.items():
        np.testing.assert_allclose(found[key], ends, atol=1e-8)


def test_empty_optimal_set():
    ax = plot.plot_optimal_set(optima(np.zeros((3, 0)), np.zeros(3)))
    assert len(ax.collections) == 0


def test_optimal_set_refuses_other_types():
    with pytest.raises(TypeError, match="optimal_set must be an OptimalSet, got int"):
        plot.plot_optimal_set(3)
    with pytest.raises(TypeError, match="ax must be a matplotlib Axes"):
        plot.plot_optimal_set(optima(np.eye(1), np.ones(1)), ax=0)

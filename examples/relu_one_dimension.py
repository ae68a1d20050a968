"""Gradient descent and the convex optimum
=======================================

Five points on a line, and gradient descent stuck above the optimum.

The setting of M. Pilanci, T. Ergen (2020), Neural networks are convex regularizers, ICML, figure 1:
gradient descent on the same objective from several starts, and widths, against the global optimum
that the convex program certifies. With matplotlib installed, a picture is written to
relu_one_dimension.png.
"""

import numpy as np

import cvxnn

x = np.arange(-2.0, 3.0)
X, y = np.column_stack([x, np.ones(5)]), np.array([1.0, -1.0, 1.0, 1.0, -1.0])
alpha = 1e-3


def descend(width, seed, steps=5_000, rate=0.05):
    """Return the objectives of gradient descent from a random start."""
    rng = np.random.default_rng(seed)
    U, v = rng.standard_normal((2, width)), rng.standard_normal(width)
    values = []
    for _ in range(steps):
        scores = X @ U
        active = scores > 0
        residual = (active * scores) @ v - y
        penalty = 0.5 * alpha * ((U**2).sum() + (v**2).sum())
        values.append(residual @ residual / (2 * len(y)) + penalty)
        slope = residual / len(y)
        grad_U = X.T @ (active * np.outer(slope, v)) + alpha * U
        grad_v = (active * scores).T @ slope + alpha * v
        U, v = U - rate * grad_U, v - rate * grad_v
    return np.array(values)


result = cvxnn.solve(X, y, "exact", activation="relu", alpha=alpha, tol=1e-9)
network = cvxnn.prune(result.network(), X)
print(f"global optimum {result.primal:.6g}, relative gap {result.gap_rel:.1e}")
print(f"neurons of a minimal network: {network.width}")
runs = {}
for width in (8, 15, 50):
    runs[width] = [descend(width, seed) for seed in range(3)]
    best = min(values[-1] for values in runs[width])
    excess = best / result.primal
    print(f"gradient descent, width {width:2d}: best of 3 starts {excess:.3f} x the optimum")
    assert best >= result.primal * (1 - 1e-9)

try:
    import matplotlib as mpl
except ImportError:
    pass
else:
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.5))
    for width, color in zip(runs, ("C0", "C1", "C2"), strict=True):
        for values in runs[width]:
            axes[0].loglog(values, color=color, alpha=0.6, label=f"width {width}")
    axes[0].axhline(result.primal, color="k", linestyle="--", label="convex optimum")
    handles, labels = axes[0].get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    axes[0].legend(unique.values(), unique.keys())
    axes[0].set(xlabel="step", ylabel="objective")
    path = cvxnn.solve_path(X, y, cvxnn.enumerate_patterns(X), activation="relu", n_alphas=20)
    widths = [cvxnn.prune(solution.network(), X, rtol=1e-7).width for solution in path]
    axes[1].semilogx(path.alphas, widths, marker="o")
    axes[1].set(xlabel="alpha", ylabel="neurons of a minimal network")
    figure.tight_layout()
    figure.savefig("relu_one_dimension.png", dpi=120)

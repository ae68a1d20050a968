"""The ReLU program: cvxnn beside Clarabel (by cvxpy), adelie and pyscnn, one thread, one run.

    python bench/bench_relu.py [--ratios 0.1,0.01] [--without clarabel]

Needs cvxpy with Clarabel, adelie and pyscnn (bench/peers/requirements.txt). cvxnn: median of three
cold solves to a certified relative gap of 1e-6, packing included. The peers solve the same program,
in cones of the same patterns, at their default or 1e-7 tolerance. `excess`: relative to the best
bound of cvxnn, for pyscnn of its network; `violation`: the largest by which a block leaves its
cone, relative to its length.
"""

import argparse
import os
import statistics
import time

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np  # noqa: E402
from sklearn.datasets import load_breast_cancer, load_diabetes  # noqa: E402

import cvxnn  # noqa: E402
from relu_networks import by_pyscnn, objective  # noqa: E402


def standardised(X):
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    X = np.column_stack([X, np.ones(len(X))])
    return X / np.linalg.norm(X, axis=0)


def problems():
    X, y = load_diabetes(return_X_y=True)
    yield "diabetes", standardised(X), (y - y.mean()) / y.std(), 25
    X, y = load_breast_cancer(return_X_y=True)
    yield "breast_cancer", standardised(X), 2.0 * y - 1.0, 25
    rng = np.random.default_rng(0)
    X = rng.standard_normal((1000, 20))
    W = rng.standard_normal((20, 20)) / np.sqrt(20)
    y = np.maximum(X @ W, 0) @ rng.choice([-1.0, 1.0], 20)
    yield "teacher", standardised(X), (y - y.mean()) / y.std() + 0.1 * rng.standard_normal(1000), 50


def by_cvxnn(X, y, patterns, alpha):
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        packed = cvxnn.activation_patterns(X, patterns.gates)
        result = cvxnn.solve(X, y, packed, activation="relu", alpha=alpha, tol=1e-6, n_threads=1)
        seconds.append(time.perf_counter() - start)
    V = np.zeros((2, patterns.n_patterns, X.shape[1]))
    V[np.where(result.signs > 0, 0, 1), result.active_set] = result.blocks
    return statistics.median(seconds), V, result


def by_clarabel(X, y, masks, alpha):
    import cvxpy as cp

    start = time.perf_counter()
    V, W = (cp.Variable((masks.shape[1], X.shape[1])) for _ in range(2))
    fit = cp.sum(cp.multiply(masks, X @ (V - W).T), axis=1)
    penalty = cp.sum(cp.norm(V, 2, axis=1)) + cp.sum(cp.norm(W, 2, axis=1))
    signs = 2.0 * masks - 1.0
    cones = [cp.multiply(signs, X @ block.T) >= 0 for block in (V, W)]
    loss = cp.sum_squares(fit - y) / (2 * len(y))
    cp.Problem(cp.Minimize(loss + alpha * penalty), cones).solve(solver="CLARABEL")
    return time.perf_counter() - start, np.stack([V.value, W.value])


def by_adelie(X, y, masks, alpha):
    import adelie as ad

    (n, d), n_patterns = X.shape, masks.shape[1]
    start = time.perf_counter()
    design = ad.matrix.convex_relu(
        np.asfortranarray(X), np.asfortranarray(masks.astype(bool)), gated=False, n_threads=1
    )
    kept, cones = [], []
    for p in [*range(n_patterns), *range(n_patterns)]:
        rows = np.ascontiguousarray((2.0 * masks[:, p, None] - 1.0) * X)
        bounds = np.zeros(n), np.full(n, np.inf)
        kept.append((rows, bounds))  # adelie does not copy them
        cones.append(ad.constraint.linear(rows, *bounds))
    state = ad.grpnet(
        design,
        ad.glm.gaussian(y.copy()),
        constraints=cones,
        groups=np.arange(0, 2 * n_patterns * d, d),
        penalty=np.ones(2 * n_patterns),
        lmda_path=np.array([alpha]),
        intercept=False,
        tol=1e-7,
        early_exit=False,
        progress_bar=False,
        n_threads=1,
    )
    return time.perf_counter() - start, state.betas[-1].toarray().reshape(2, n_patterns, d)


def judge(X, y, masks, alpha, V):
    """Return the objective and the largest violation of a cone."""
    fit = (masks * (X @ (V[0] - V[1]).T)).sum(axis=1)
    lengths = np.linalg.norm(V, axis=2)
    objective = ((fit - y) ** 2).sum() / (2 * len(y)) + alpha * lengths.sum()
    used = lengths > 1e-9 * lengths.max()
    margins = np.concatenate(
        [
            ((2 * masks[:, used[s]] - 1) * (X @ V[s][used[s]].T) / lengths[s][used[s]]).ravel()
            for s in range(2)
        ]
    )
    rows = np.linalg.norm(X, axis=1).max()
    return objective, max(0.0, -margins.min(initial=0.0) / rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ratios", default="0.1,0.01")
    parser.add_argument("--without", default="", help="peers to leave out, comma-separated")
    args = parser.parse_args()
    left_out = args.without.split(",")
    print("| problem | solver | seconds | x cvxnn | excess | violation |")
    print("|---|---|---|---|---|---|")
    for name, X, y, n_gates in problems():
        gates = cvxnn.sample_gates(X.shape[1], n_gates, random_state=1)
        patterns = cvxnn.activation_patterns(X, gates)
        masks = patterns.to_dense().astype(float)
        largest = cvxnn.alpha_max(X, y, patterns, activation="relu")
        for ratio in map(float, args.ratios.split(",")):
            alpha = ratio * largest
            own, V, result = by_cvxnn(X, y, patterns, alpha)
            rows = [("cvxnn", own, *judge(X, y, masks, alpha, V))]
            for peer in (by_adelie, by_clarabel):
                label = peer.__name__.removeprefix("by_")
                if label not in left_out:
                    seconds, blocks = peer(X, y, masks, alpha)
                    rows.append((label, seconds, *judge(X, y, masks, alpha, blocks)))
            if "pyscnn" not in left_out:
                seconds, *weights = by_pyscnn(X, y, gates, alpha)
                rows.append(("pyscnn", seconds, objective(X, y, alpha, *weights), 0.0))
            for label, seconds, value, violation in rows:
                print(
                    f"| {name}@{ratio:g} | {label} | {seconds:.3g} | {seconds / own:.1f} | "
                    f"{value / result.dual - 1.0:.0e} | {violation:.0e} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()

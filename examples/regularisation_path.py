"""A regularisation path
=====================

Size, fit and certificate of every network on a path on diabetes.
"""

import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

import cvxnn

X, y = load_diabetes(return_X_y=True)
X, X_test, y, y_test = train_test_split(X, y, random_state=0)
scaler = StandardScaler().fit(X)


def inputs(values):
    """Standardise, and append the constant column of the hidden bias."""
    return np.column_stack([scaler.transform(values), np.ones(len(values))])


mean, scale = y.mean(), y.std()
gates = cvxnn.sample_gates(n_features=X.shape[1] + 1, n_gates=1000, random_state=0)
patterns = cvxnn.activation_patterns(inputs(X), gates)
path = cvxnn.solve_path(
    inputs(X), (y - mean) / scale, patterns, n_alphas=12, eps=0.05, tol=1e-4, fit_intercept=True
)

print(f"{'alpha':>8} {'neurons':>8} {'train R2':>9} {'test R2':>8} {'relative gap':>13}")
for result in path:
    network = result.network()
    fits = [
        1 - np.mean((mean + scale * network.predict(inputs(data)) - target) ** 2) / target.var()
        for data, target in ((X, y), (X_test, y_test))
    ]
    print(
        f"{result.alpha:8.4f} {network.width:8d} {fits[0]:9.3f} {fits[1]:8.3f} "
        f"{result.gap_rel:13.1e}"
    )

"""A certified classifier
======================

A classifier on breast_cancer, its certificate, and a check of the certificate by hand.
"""

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import StandardScaler

import cvxnn

X, y = load_breast_cancer(return_X_y=True)
X = np.column_stack([StandardScaler().fit_transform(X), np.ones(len(X))])
labels = np.where(y == 1, 1.0, -1.0)

patterns = cvxnn.activation_patterns(X, cvxnn.sample_gates(X.shape[1], 2000, random_state=0))
alpha = 0.05 * cvxnn.alpha_max(X, labels, patterns, loss="logistic")
result = cvxnn.solve(X, labels, patterns, loss="logistic", alpha=alpha, tol=1e-8)
network = result.network()
print(result)
print(
    "objective of the network, non-convex form:",
    network.objective(X, labels, alpha, loss="logistic"),
)

# %%
# The lower bound by hand: the dual point of the certificate, scaled until no pattern exceeds alpha.
gradients = (patterns.to_dense() * result.theta[:, None]).T @ X
scale = min(1.0, alpha / np.linalg.norm(gradients, axis=1).max())
a = scale * labels * result.theta * len(X)
bound = -np.mean(a * np.log(a) + (1 - a) * np.log1p(-a))
print("lower bound by hand:", bound, "relative gap:", (result.primal - bound) / result.primal)

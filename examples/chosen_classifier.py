"""A classifier by cross-validation
================================

Alpha chosen on two half-moons, and the certificate and decisions of the network. A picture is
written to chosen_classifier.png.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import make_moons

import cvxnn
from cvxnn import plot

X, y = make_moons(200, noise=0.2, random_state=0)
model = cvxnn.ReLUClassifierCV(
    n_patterns=100, n_alphas=15, eps=0.01, selection="one_standard_error"
).fit(X, y)
print(f"alpha {model.alpha_:.4f}, {model.network_.width} neurons, accuracy {model.score(X, y):.3f}")
print(f"objective {model.objective_:.6f}, duality gap {model.dual_gap_:.1e}")

# %%
# The largest alpha whose score is within one standard error of the best is taken, for a smaller
# network. Its decisions change slope where a neuron switches.
figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
plot.plot_path(model, ax=axes[0])
plot.plot_decision_regions(model, X, y, ax=axes[1])
figure.savefig("chosen_classifier.png", dpi=120)

"""Batch normalisation and the rank of the data
============================================

Networks with batch normalisation see all directions of the data at the same size, those of noise
too. Accuracy on digits over the number of leading directions that they get. A picture is written
to digits_batch_norm.png.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import cvxnn

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X / 16, y, train_size=300, random_state=0, stratify=y
)

# %%
# The same strength for all; pixels are not standardised, for those of the border hardly vary.
ranks = [3, 5, 10, 15, 20, 30, 45, None]
models = [
    cvxnn.ReLUClassifier(
        alpha=0.01, n_patterns=60, batch_norm=True, bn_rank=rank, standardize=False
    ).fit(X_train, y_train)
    for rank in ranks
]
print("directions  training  test   objective  relative gap")
for rank, model in zip(ranks, models, strict=True):
    accuracies = f"{model.score(X_train, y_train):.3f}     {model.score(X_test, y_test):.3f}"
    gap = model.dual_gap_ / model.objective_
    print(f"{rank or 'all':<12}{accuracies}  {model.objective_:.5f}    {gap:.1e}")

# %%
# More directions fit the training digits better, and from some number on the others worse.
n_directions = [rank or X.shape[1] for rank in ranks]
figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.plot(n_directions, [model.score(X_train, y_train) for model in models], "o-", label="training")
ax.plot(n_directions, [model.score(X_test, y_test) for model in models], "o-", label="test")
ax.set(xlabel="directions", ylabel="accuracy", ylim=(0.6, 1.01))
ax.legend()
figure.savefig("digits_batch_norm.png", dpi=120)

# %%
# The network with its normalisation goes to torch as `Linear, BatchNorm1d, gate, Linear`, by
# ``model.batch_norm_.to_torch()``, and predicts there what it predicts here.
normalised = models[3].batch_norm_
print(normalised, normalised.network())

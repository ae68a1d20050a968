"""Filters of handwritten digits
=============================

A convolutional classifier of digits, its certificate, and its largest filters.

One network a class, each of gated 5 x 5 filters whose maps are averaged over four quarters of the
image. With matplotlib installed, a picture of the filters that weigh most, with their weights for
each quarter, is written to digits_convolution.png.
"""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import cvxnn

X, y = load_digits(return_X_y=True)
images = X.reshape(-1, 1, 8, 8)
train, test, y_train, y_test = train_test_split(
    images, y, train_size=400, stratify=y, random_state=0
)
model = cvxnn.ConvReLUClassifier(
    alpha=0.01, kernel_size=5, pooling=("mean", 2), n_patterns=40, tol=1e-3, n_threads=1
).fit(train, y_train)
network = model.network_
gap = model.dual_gap_ / model.objective_
print(f"objective {model.objective_:.4f}, relative gap {gap:.1e}: {model.status_}")
print(f"{network.width} filters, test accuracy {model.score(test, y_test):.3f}")
assert gap < 1e-3

# A filter counts by the product of its norm and that of its weights, which decay balances.
size = np.sqrt(np.sum(network.filters_**2, axis=(1, 2, 3)) * np.sum(network.head_**2, axis=(1, 2)))
largest = np.argsort(-size)[:8]
for j in largest[:3]:
    digit = np.abs(network.head_[j]).max(axis=0).argmax()
    quarters = np.round(network.head_[j, :, digit], 2)
    print(f"filter {j:3d} for digit {digit}: size {size[j]:.2f}, weights of quarters {quarters}")

try:
    import matplotlib as mpl
except ImportError:
    pass
else:
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 8, figsize=(10, 3))
    for j, (above, below) in zip(largest, axes.T, strict=True):
        digit = np.abs(network.head_[j]).max(axis=0).argmax()
        for axis, picture in ((above, network.filters_[j, 0]), (below, network.head_[j, :, digit])):
            limit = np.abs(picture).max()
            side = int(np.sqrt(picture.size))
            axis.imshow(picture.reshape(side, side), cmap="RdBu", vmin=-limit, vmax=limit)
            axis.set(xticks=[], yticks=[])
        above.set_title(f"digit {digit}")
    axes[0, 0].set_ylabel("filter")
    axes[1, 0].set_ylabel("weights")
    figure.tight_layout()
    figure.savefig("digits_convolution.png", dpi=120)

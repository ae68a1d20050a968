"""Heads on tokens of digits
=========================

Self-attention, a mixer and a Fourier operator on sixteen tokens of 2 x 2 pixels, with certificates.
A picture of the singular values of their blocks is written to digits_tokens.png.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

import cvxnn

images, labels = load_digits(return_X_y=True)
patches = (images / 16).reshape(-1, 4, 2, 4, 2).swapaxes(2, 3).reshape(-1, 16, 4)
row, column = np.divmod(np.arange(16), 4)
positions = np.broadcast_to(np.column_stack([row, column]) / 3, (len(patches), 16, 2))
X = np.concatenate([patches, positions], axis=2)  # attention does not know where a token is

order = np.random.default_rng(0).permutation(len(X))
train, test = order[:300], order[1000:]

# %%
# The outputs are means over tokens, the loss is the squared one on a column of zeros and ones for
# each digit. Attention multiplies three tokens and sums over pairs, hence its larger alpha. The gap
# says by how much of itself the objective may exceed the best there is.
heads = {
    "attention, linear": cvxnn.ConvexSelfAttention(alpha=0.5, activation="linear"),
    "attention": cvxnn.ConvexSelfAttention(alpha=0.5, n_patterns=2),
    "mixer": cvxnn.ConvexMLPMixer(alpha=0.02, n_patterns=2),
    "Fourier operator": cvxnn.ConvexFNO(alpha=0.02, n_patterns=6),
}
columns = np.eye(10)[labels]
figure, ax = plt.subplots(layout="constrained")
print(f"{'':18} heads  train   test  relative gap")
for name, model in heads.items():
    model.set_params(tol=0.03, n_threads=1).fit(X[train], columns[train])
    shares = [np.mean(model.predict(X[s]).argmax(1) == labels[s]) for s in (train, test)]
    gap = model.dual_gap_ / model.objective_
    print(f"{name:18} {model.network_.n_heads:5} {shares[0]:6.3f} {shares[1]:6.3f} {gap:13.1e}")
    hidden, output = model.network_.coefs_
    values = np.linalg.norm(hidden, axis=(1, 2)) * np.linalg.norm(output, axis=(1, 2))
    ax.semilogy(np.sort(values)[::-1], "o-", markersize=3, label=name)

# %%
# Each head is a singular value of a block: few of them are large.
ax.set(xlabel="head", ylabel="size", ylim=(1e-4 * ax.get_ylim()[1], None))
ax.legend()
figure.savefig("digits_tokens.png", dpi=120)

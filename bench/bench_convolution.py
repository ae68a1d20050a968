"""Seconds of a regularisation path of convolutional networks on digits, all classes, certified.

    python bench/bench_convolution.py [--n-alphas 20] [--eps 0.01] [--tol 1e-4] [--windows 3]

All 1797 images of 8 x 8, one network against the rest for each of ten classes, logistic loss, gated
3 x 3 filters. `--windows 3` pools over windows of 3 x 3, with head weights for each, in place of
the whole map. A row an alpha: objective and gap are those of the ten programs together, of which
each is at `--tol` where the status is optimal; accuracy is on the same images. `CPU` is of all
threads, and does not count what others do to the machine.
"""

import argparse
import time

import numpy as np
from sklearn.datasets import load_digits

import cvxnn


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n-alphas", type=int, default=20)
    parser.add_argument("--eps", type=float, default=0.01, help="smallest alpha over largest")
    parser.add_argument("--tol", type=float, default=1e-4, help="relative gap of each program")
    parser.add_argument("--n-patterns", type=int, default=100)
    parser.add_argument("--windows", type=int, help="size of pooled windows; default: whole map")
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    X, y = load_digits(return_X_y=True)
    images = X.reshape(-1, 1, 8, 8).astype(args.dtype)
    model = cvxnn.ConvReLUClassifier(
        pooling="mean" if args.windows is None else ("mean", args.windows),
        n_patterns=args.n_patterns,
        tol=args.tol,
        n_threads=args.threads,
    )
    wall, cpu = time.perf_counter(), time.process_time()
    path = model.solve_path(images, y, n_alphas=args.n_alphas, eps=args.eps)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print("| alpha | objective | relative gap | filters | accuracy | status |")
    print("|---|---|---|---|---|---|")
    for step in path:
        print(
            f"| {step.alpha:.5f} | {step.objective_:.6f} | {step.dual_gap_ / step.objective_:.1e} "
            f"| {step.network_.width} | {np.mean(step.predict(images) == y):.4f} "
            f"| {step.status_} |"
        )
    print(f"\n{len(path)} alphas in {wall:.1f} s, {cpu:.1f} s of CPU")


if __name__ == "__main__":
    main()

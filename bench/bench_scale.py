"""Paths, sizes, threads.

    python bench/bench_scale.py path      100 alphas against the single solve at the smallest
    python bench/bench_scale.py wide      n = 60,000, d = 784, 4,000 gates, float32: memory, time
    python bench/bench_scale.py tall      n = 1,000,000, d = 20, 500 gates: memory, time
    python bench/bench_scale.py threads   two threads against one
    python bench/bench_scale.py limits    rates of the two main parts, against the machine's

Memory is the peak resident set less what was resident, data included, before the first call.
"""

import argparse
import resource
import time
import warnings
from pathlib import Path

import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.preprocessing import StandardScaler

import cvxnn
from timing import paired


def teacher(n: int, d: int, dtype: type = np.float32) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, d), dtype=dtype)
    y = np.maximum(X @ rng.standard_normal((d, 20)).astype(dtype), 0) @ rng.standard_normal(20)
    return X, y / y.std() + 0.1 * rng.standard_normal(n)


def images(n: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    """Non-negative pixels of rank 40 and noise, a fifth of them lit: shaped like digits."""
    rng = np.random.default_rng(0)
    strokes = np.maximum(rng.standard_normal((40, d), dtype=np.float32) - 0.8, 0)
    X = np.empty((n, d), dtype=np.float32)
    label = np.empty(n)
    for rows in np.array_split(np.arange(n), 60):
        code = np.maximum(rng.standard_normal((len(rows), 40), dtype=np.float32), 0)
        noise = 0.1 * rng.standard_normal((len(rows), d), dtype=np.float32)
        X[rows] = np.maximum(code @ strokes + noise - 2.0, 0)
        label[rows] = np.where(code[:, :5].max(axis=1) > code[:, 5:10].max(axis=1), 1.0, -1.0)
    X /= X.std()
    return X, label


def resident() -> float:
    """Return the resident set in bytes, and forget its peak."""
    Path("/proc/self/clear_refs").write_text("5")
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def peak() -> float:
    status = Path("/proc/self/status").read_text()
    return 1024.0 * float(status.split("VmHWM:")[1].split()[0])


def large(X: np.ndarray, y: np.ndarray, n_gates: int, strength: float, tol: float) -> None:
    n, d = X.shape
    before = resident()
    start = time.perf_counter()
    patterns = cvxnn.activation_patterns(X, cvxnn.sample_gates(d, n_gates, random_state=0))
    packed = time.perf_counter() - start
    alpha = strength * cvxnn.alpha_max(X, y, patterns)
    start = time.perf_counter()
    result = cvxnn.solve(X, y, patterns, alpha=alpha, tol=tol)
    seconds = time.perf_counter() - start
    extra = peak() - before
    print(
        f"n {n} d {d} P {patterns.n_patterns}: packed in {packed:.1f} s; gap {result.gap_rel:.1e} "
        f"({result.status}) in {seconds:.1f} s, {result.n_active} of {patterns.n_patterns} active; "
        f"peak {extra / 1e6:.0f} MB beside X of {X.nbytes / 1e6:.0f} MB: "
        f"{(extra + X.nbytes) / X.nbytes:.2f} times X in all"
    )


def path() -> None:
    def real(loader, positive=None) -> tuple[np.ndarray, np.ndarray]:
        X, y = loader(return_X_y=True)
        X = np.column_stack([StandardScaler().fit_transform(X), np.ones(len(X))])
        return X, (y - y.mean()) / y.std() if positive is None else np.where(
            y == positive, 1.0, -1.0
        )

    for name, (X, y) in {
        "breast_cancer": real(load_breast_cancer, 1),
        "diabetes": real(load_diabetes),
        "digits, 3 or not": real(load_digits, 3),
        "teacher 4000 x 40": teacher(4000, 40),
    }.items():
        patterns = cvxnn.activation_patterns(X, cvxnn.sample_gates(X.shape[1], 300, random_state=0))
        alpha = 1e-3 * cvxnn.alpha_max(X, y, patterns)
        result = {}

        def whole(X=X, y=y, patterns=patterns, result=result) -> None:
            result["path"] = cvxnn.solve_path(
                X, y, patterns, n_alphas=100, eps=1e-3, tol=1e-4, n_threads=1
            )

        def single(X=X, y=y, patterns=patterns, alpha=alpha) -> None:
            cvxnn.solve(X, y, patterns, alpha=alpha, tol=1e-4, n_threads=1)

        seconds = paired({"path": whole, "single": single}, 1)
        gaps = max(r.gap_rel for r in result["path"].results)
        print(
            f"{name:<20} path of 100 {seconds['path']:8.2f} s   one at 1e-3 alpha_max "
            f"{seconds['single']:8.2f} s   ratio {seconds['path'] / seconds['single']:6.1f}   "
            f"largest gap {gaps:.0e}",
            flush=True,
        )


def threads() -> None:
    for n, d, n_gates in ((1000, 20, 300), (5000, 100, 1000), (20000, 200, 1000)):
        X, y = teacher(n, d)
        patterns = cvxnn.activation_patterns(X, cvxnn.sample_gates(d, n_gates, random_state=0))
        a_max = cvxnn.alpha_max(X, y, patterns)
        for strength in (0.1,) if n > 5000 else (0.1, 0.01):

            def run(n_threads: int, alpha=strength * a_max, X=X, y=y, patterns=patterns) -> None:
                cvxnn.solve(X, y, patterns, alpha=alpha, tol=1e-4, n_threads=n_threads)

            seconds = paired({"one": lambda r=run: r(1), "two": lambda r=run: r(2)}, 3)
            print(
                f"{n} x {d}, P {n_gates}, alpha {strength:g}: {seconds['one']:.3f} s on one "
                f"thread, {seconds['two']:.3f} on two: {seconds['one'] / seconds['two']:.2f}",
                flush=True,
            )


def limits() -> None:
    """One thread: the interior-point method in flops, pricing in multiply-adds and table bytes."""
    import threadpoolctl

    from cvxnn._ext import core

    square = np.random.default_rng(0).standard_normal((2000, 2000))
    X, y = teacher(3000, 30)
    patterns = cvxnn.activation_patterns(X, cvxnn.sample_gates(30, 300, random_state=0))
    alpha = 1e-3 * cvxnn.alpha_max(X, y, patterns)
    wide, target = teacher(4096, 128)
    many = cvxnn.activation_patterns(wide, cvxnn.sample_gates(128, 4096, random_state=0))
    result = {}

    def interior() -> None:
        result["solve"] = cvxnn.solve(
            X, y, patterns, alpha=alpha, tol=1e-6, solver="interior_point", n_threads=1
        )

    with threadpoolctl.threadpool_limits(1):
        seconds = paired(
            {
                "gemm": lambda: square @ square,
                "interior": interior,
                "price": lambda: core.masked_gradients(
                    wide, many.words, target[:, None], n_threads=1
                ),
            },
            3,
        )
    n, P, steps = 3000, patterns.n_patterns, result["solve"].n_epochs
    gemm = 2 * 2000**3 / seconds["gemm"]
    dense = steps * (n**3 / 3 + n * n * (P + 30)) / seconds["interior"]
    print(f"numpy dgemm {gemm / 1e9:.0f} GF/s")
    print(
        f"interior point, n = {n}, P = {P}: {steps} iterations in {seconds['interior']:.2f} s, "
        f"dense work alone {dense / 1e9:.0f} GF/s, {dense / gemm:.0%} of dgemm"
    )
    adds = 4096 * 128 * many.n_patterns / seconds["price"]
    print(
        f"pricing, 4096 x 128, P = {many.n_patterns}, float32: {adds / 1e9:.0f} G multiply-adds/s, "
        f"for which tables are read at {adds / 160 * 128 / 1e9:.0f} GB/s (128 bytes do 160)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("path", "wide", "tall", "threads", "limits"))
    what = parser.parse_args().what
    warnings.simplefilter("ignore")
    if what == "path":
        path()
    elif what == "threads":
        threads()
    elif what == "limits":
        limits()
    elif what == "wide":
        large(*images(60_000, 784), 4000, 0.05, 1e-2)
    else:
        large(*teacher(1_000_000, 20), 500, 0.05, 1e-3)


if __name__ == "__main__":
    main()

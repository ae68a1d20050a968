"""The table kernels against dense matrix products, in one run.

    python bench/bench_kernels.py [--core v3]

Pricing is ``X.T @ (M * r)`` for all patterns at once; forward is ``sum((M @ W) * X, axis=1)``. The
yardstick of each is the dense product inside it, on a matrix that is already masked: by Eigen,
compiled for the same CPU level, and by numpy, its OpenBLAS held to that level. One thread, except
the last two columns: the speed-up of pricing and forward on two. Medians of paired runs.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from timing import paired

ROOT = Path(__file__).resolve().parent.parent
OPENBLAS_CORE = {"base": "Nehalem", "v3": "Haswell", "v4": "SkylakeX"}
ARCH = {"base": "x86-64-v2", "v3": "x86-64-v3", "v4": "x86-64-v4"}
SHAPES = ((4096, 104, 4096), (8192, 784, 2048))


def build_yardstick(level: str, folder: str) -> None:
    """Compile bench/cpp/eigen_gemm.cpp for a CPU level and make it importable."""
    import pybind11

    options = {
        "CVXNN_BUILD_PYTHON": "OFF",
        "CVXNN_BUILD_BENCH": "ON",
        "CVXNN_BENCH_ARCH": ARCH[level],
        "Python_EXECUTABLE": sys.executable,
        "pybind11_DIR": pybind11.get_cmake_dir(),
    }
    defines = [f"-D{name}={value}" for name, value in options.items()]
    for command in (["-S", str(ROOT), "-B", folder, *defines], ["--build", folder]):
        subprocess.run(["cmake", *command], check=True, stdout=subprocess.DEVNULL)
    sys.path.insert(0, str(Path(folder, "bench", "cpp")))


def contenders(n: int, d: int, n_patterns: int, dtype: type) -> dict:
    """Return what is timed at one shape, by name."""
    import eigen_gemm
    import numpy as np

    from cvxnn._ext import core

    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, d)).astype(dtype)
    gates = rng.standard_normal((d, n_patterns))
    words = np.empty((-(-n // 64), n_patterns), np.uint64)
    core.pack_patterns(X, gates, words, n_threads=2)
    dense = np.asfortranarray((X.astype(float) @ gates > 0).astype(dtype))
    residual = np.asfortranarray(rng.standard_normal((n, 1)))
    masked = np.asfortranarray(dense * residual.astype(dtype))
    columns, dense_t = np.asfortranarray(X), np.asfortranarray(dense.T)
    gradient = np.empty((d, n_patterns), dtype, order="F")
    scores = np.empty((n, d), dtype, order="F")
    blocks, coefs = list(range(n_patterns)), rng.standard_normal((n_patterns, 1, d))
    weights = np.asfortranarray(coefs[:, 0].astype(dtype))

    def pricing(n_threads: int) -> None:
        core.masked_gradients(X, words, residual, n_threads=n_threads)

    def forward(n_threads: int) -> None:
        core.masked_forward(X, words, blocks, coefs, n_threads=n_threads)

    return {
        "pricing": lambda: pricing(1),
        "pricing Eigen": lambda: eigen_gemm.gemm_tn(columns, masked, gradient),
        "pricing numpy": lambda: X.T @ masked,
        "forward": lambda: forward(1),
        "forward Eigen": lambda: eigen_gemm.gemm_tn(dense_t, weights, scores),
        "forward numpy": lambda: dense @ weights,
        "pricing on two": lambda: pricing(2),
        "forward on two": lambda: forward(2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--core", choices=ARCH, default="v3", help="compiled core to measure")
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    # Read by the core and by OpenBLAS when they load, so before numpy is imported.
    os.environ.update(
        CVXNN_CORE=args.core,
        OPENBLAS_NUM_THREADS="1",
        OPENBLAS_CORETYPE=OPENBLAS_CORE[args.core],
    )
    with tempfile.TemporaryDirectory() as folder:
        build_yardstick(args.core, folder)
        print(f"core {args.core}, medians of {args.repeats} paired runs, Gmac/s on one thread")
        print(f"{'':31}{'--------- pricing ----------':>30}{'--------- forward ----------':>30}")
        names = f"{'Gmac/s':>10}{'x Eigen':>10}{'x numpy':>10}"
        print(f"{'n':>6}{'d':>6}{'P':>7}{'dtype':>12}{names}{names}  pricing, forward on 2 threads")
        for n, d, n_patterns in SHAPES:
            for dtype in ("float32", "float64"):
                times = paired(contenders(n, d, n_patterns, dtype), args.repeats)
                row = f"{n:6d}{d:6d}{n_patterns:7d}{dtype:>12}"
                for name in ("pricing", "forward"):
                    own = times[name]
                    row += f"{n * d * n_patterns / own * 1e-9:10.1f}"
                    row += (
                        f"{times[name + ' Eigen'] / own:10.2f}{times[name + ' numpy'] / own:10.2f}"
                    )
                for name in ("pricing", "forward"):
                    row += f"{times[name] / times[name + ' on two']:8.2f}"
                print(row, flush=True)


if __name__ == "__main__":
    main()

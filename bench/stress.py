"""What is lost under concurrency, interruption and corruption: nothing, or this says what.

    python bench/stress.py [--scale 0.1] [--only memory]

Fits and predictions from many threads and processes at a time, against serial ones bit for bit; the
memory of a thousand fits; time limits, Ctrl-C and kill -9 at random moments; files of networks with
flipped bits, missing and foreign parts. `lost` counts what must not be: other bits, a wrong bound,
a file that does not open, an error that is not documented. It exits with 1 if it is not zero.
"""

import argparse
import hashlib
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import warnings
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

import cvxnn

WORKERS = 200  # at a time
PROCESSES = 8


def make_models():
    """Return functions that make an estimator, and the axes of its inputs after the samples."""
    few = {"n_patterns": 40, "alpha": 0.05}
    return [
        (lambda: cvxnn.ReLURegressor(**few), (4,)),
        (lambda: cvxnn.ReLUClassifier(**few), (4,)),
        (lambda: cvxnn.ReLUClassifier(loss="softmax", **few), (4,)),
        (lambda: cvxnn.ReLURegressor(0.2, activation="relu", n_patterns=10), (3,)),
        (lambda: cvxnn.ReLURegressor(0.05, n_patterns=40, batch_norm=True), (4,)),
        (lambda: cvxnn.ReLURegressorCV(n_alphas=3, eps=0.3, cv=2, n_patterns=20), (3,)),
        (lambda: cvxnn.ConvReLURegressor(0.2, kernel_size=2, n_patterns=5), (1, 4, 4)),
        (lambda: cvxnn.ConvexSelfAttention(0.1, n_patterns=5), (3, 2)),
    ]


MODELS = make_models()


def make_data(k, shape, n_samples=60):
    rng = np.random.default_rng(k)
    X = rng.standard_normal((n_samples, *shape))
    rows = X.reshape(n_samples, -1)
    return X, np.where(np.abs(rows[:, 0]) > 0.3 - rows[:, -1], 1.0, -1.0)


def digest(*arrays):
    state = hashlib.sha256()
    for array in arrays:
        state.update(np.ascontiguousarray(array).tobytes())
    return state.hexdigest()


def arrays_of(network):
    """Return the arrays of a network of any kind, in a fixed order."""
    parts = []
    for _, value in sorted(vars(network).items()):
        found = value if isinstance(value, list) else [value]
        parts += [part for part in found if isinstance(part, np.ndarray)]
    return parts


def fit_and_predict(k):
    """Fit the k-th model to data of its own; return a digest of all that came out."""
    make, shape = MODELS[k % len(MODELS)]
    X, y = make_data(k, shape)
    model = make().set_params(n_threads=1 + k % 2).fit(X, y)
    certificate = [model.objective_, model.lower_bound_]
    return digest(*arrays_of(model.network_), model.predict(X), certificate)


def fit_share(share):
    """Do the same for several k in threads of their own."""
    warnings.simplefilter("ignore")  # of solves that end early
    barrier = threading.Barrier(len(share))

    def run(k):
        barrier.wait()
        return fit_and_predict(k)

    with ThreadPoolExecutor(len(share)) as pool:
        return list(pool.map(run, share))


def from_threads(count):
    wanted = [fit_and_predict(k) for k in range(count)]
    found = fit_share(range(count))
    lost = sum(one != other for one, other in zip(found, wanted, strict=True))
    return count, f"{count} threads at a time, bits as of serial ones", lost


def from_processes(count):
    wanted = [fit_and_predict(k) for k in range(count)]
    shares = [range(k, count, PROCESSES) for k in range(PROCESSES)]
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        found = list(pool.map(fit_share, shares))
    lost = sum(
        one != wanted[k]
        for share, part in zip(shares, found, strict=True)
        for k, one in zip(share, part, strict=True)
    )
    return count, f"{PROCESSES} processes of {len(shares[0])} threads, bits as of serial ones", lost


def resident():
    """Return the resident memory of this process in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def memory(count):
    warm = max(count // 10, len(MODELS))
    for k in range(warm):
        fit_and_predict(k)
    before = resident()
    for k in range(count):
        fit_and_predict(k)
    growth = resident() - before
    # Arenas of the allocator come and go; a leak of one array a fit is more than this.
    return count, f"{before:.0f} MB after {warm} fits, {growth:+.1f} MB after these", growth > 10


def time_limits(count, rng):
    X, y = make_data(0, (8,), 600)
    patterns = cvxnn.activation_patterns(X, cvxnn.sample_gates(8, 300, random_state=0))
    lost, seen = 0, Counter()
    for _ in range(count):
        loss = rng.choice(["squared", "logistic"])
        activation = "relu" if loss == "squared" and rng.random() < 0.3 else "gated_relu"
        few = patterns.subset(np.arange(20)) if activation == "relu" else patterns
        options = {"alpha": 0.01, "tol": 1e-9, "loss": str(loss), "activation": activation}
        limit = float(np.exp(rng.uniform(np.log(1e-5), np.log(0.5))))
        result = cvxnn.solve(X, y, few, **options, time_limit=limit)
        seen[result.status] += 1
        # The network tells its objective itself; the bound must not exceed a better one.
        again = result.network().objective(X, y, 0.01, loss=str(loss))
        best = cvxnn.solve(X, y, few, **{**options, "tol": 1e-3}).primal
        consistent = abs(again - result.primal) <= 1e-8 * again
        lost += not (consistent and 0.0 <= result.dual <= min(best, result.primal) * (1 + 1e-9))
    return count, outcome(seen), lost


def outcome(seen):
    return ", ".join(f"{count} {what}" for what, count in sorted(seen.items()))


def ctrl_c_after(seconds):
    """Send SIGINT to this process after some time, none for zero."""
    signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))
    signal.setitimer(signal.ITIMER_REAL, seconds)


def interrupted(function, seconds):
    """Call a function, with Ctrl-C after some time; return whether that came before its end."""
    try:
        ctrl_c_after(seconds)
        function()
        ctrl_c_after(0.0)
    except KeyboardInterrupt:
        return True
    return False


def duration(function):
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def ctrl_c_in_fits(count, rng):
    lost, seen = 0, Counter()
    wanted = [fit_and_predict(k) for k in range(len(MODELS))]
    lengths = [duration(lambda k=k: fit_and_predict(k)) for k in range(len(MODELS))]
    for i in range(count):
        k = i % len(MODELS)
        cut = interrupted(lambda k=k: fit_and_predict(k), rng.uniform(1e-6, 1.2 * lengths[k]))
        seen["interrupted" if cut else "finished"] += 1
        lost += fit_and_predict(k) != wanted[k]
    return count, f"{outcome(seen)}; the next fit has the same bits", lost


def make_networks():
    """Return two networks of a size that takes a moment to write."""
    rng = np.random.default_rng(0)
    return [
        cvxnn.Network([rng.standard_normal((50, 400)), np.ones((400, 1))], [np.zeros(400), [0.0]])
        for _ in "ab"
    ]


def opened(path, networks):
    """Return whether a file holds one of the networks, whole."""
    try:
        found = digest(*arrays_of(type(networks[0]).load(path)))
    except (OSError, ValueError):
        return False
    return found in {digest(*arrays_of(network)) for network in networks}


def ctrl_c_in_saves(count, rng, folder):
    networks, path = make_networks(), folder / "network.npz"
    networks[0].save(path)
    lost, seen = 0, Counter()
    sys.unraisablehook = lambda _: None  # zipfile's finalizers, on archives that were cut short
    length = max(duration(lambda: networks[0].save(path)) for _ in range(50))
    for i in range(count):
        cut = interrupted(lambda i=i: networks[i % 2].save(path), rng.uniform(1e-6, 1.2 * length))
        seen["interrupted" if cut else "finished"] += 1
        lost += not opened(path, networks) or len(list(folder.iterdir())) > 1
    return count, f"{outcome(seen)}; old or new file opens, none beside it", lost


SAVER = """
    import itertools, sys
    sys.path.insert(0, {here!r})
    from stress import make_networks
    networks = make_networks()
    for k in itertools.count():
        networks[k % 2].save({path!r})
        if k == 0:
            print("READY", flush=True)
"""
FITTER = """
    import signal, sys
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job may ignore it
    from cvxnn.__main__ import main
    options = ["--task", "regression", "--alpha", "0.01", "--quiet"]
    sys.argv[1:] = ["fit", {data!r}, *options, "-o", {path!r}]
    print("READY", flush=True)
    sys.exit(main())
"""


def run_and_signal(code, number, seconds):
    """Run a script and send it a signal some time after it is ready; return its exit code."""
    command = [sys.executable, "-c", textwrap.dedent(code)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        child.stdout.readline()
        time.sleep(seconds)
        child.send_signal(number)
        child.communicate(timeout=120)
    return child.returncode


def kill_in_saves(count, rng, folder):
    networks, path = make_networks(), folder / "network.npz"
    code = SAVER.format(here=str(Path(__file__).parent), path=str(path))
    lost = 0
    for _ in range(count):
        run_and_signal(code, signal.SIGKILL, rng.uniform(0.0, 0.1))
        lost += not opened(path, networks)
    parts = len(list(folder.iterdir())) - 1
    return count, f"killed; old or new file opens, {parts} hidden parts left beside it", lost


def ctrl_c_in_command(count, rng, folder):
    X, y = make_data(0, (20,), 2000)
    data, path = folder / "data.npz", folder / "network.npz"
    np.savez(data, X=X, y=y)
    code = FITTER.format(data=str(data), path=str(path))
    start = time.perf_counter()
    run_and_signal(code, 0, 0.0)  # no signal
    new, length = cvxnn.Network.load(path), time.perf_counter() - start
    old, lost, codes = make_networks()[0], 0, Counter()
    for _ in range(count):
        old.save(path)
        returned = run_and_signal(code, signal.SIGINT, rng.uniform(0.0, length))
        codes[{0: "finished", 130: "interrupted"}.get(returned, f"exit {returned}")] += 1
        names = {file.name for file in folder.iterdir()}
        whole = opened(path, [old, new]) and names == {data.name, path.name}
        lost += not whole or returned not in (0, 130)
    return count, f"{outcome(codes)}; old or new file opens, none beside it", lost


def corrupted(content, rng):
    """Return the bytes of a file with a random fault, and its name."""
    content, position = bytearray(content), int(rng.integers(len(content)))
    kind = rng.choice(["flip", "flips", "truncation", "zeros", "cut", "tail"])
    if kind in ("flip", "flips"):
        for _ in range(1 if kind == "flip" else int(rng.integers(2, 20))):
            content[int(rng.integers(len(content)))] ^= 1 << int(rng.integers(8))
    elif kind == "truncation":
        del content[position:]
    elif kind == "zeros":
        content[position : position + 64] = bytes(len(content[position : position + 64]))
    elif kind == "cut":
        del content[position : position + int(rng.integers(1, 64))]
    else:
        content += rng.bytes(int(rng.integers(1, 64)))
    return bytes(content)


def corrupt_files(count, rng, folder):
    rng_weights, path = np.random.default_rng(0), folder / "network.npz"
    filters, heads = rng_weights.standard_normal((2, 1, 2, 2)), rng_weights.random((2, 2, 2))
    networks = [
        cvxnn.Network(
            [filters[0, 0], np.ones((2, 1))],
            [np.zeros(2), [0.0]],
            activation="gated_relu",
            gates=filters[1, 0],
            skip=np.ones((2, 1)),
        ),
        cvxnn.ConvNetwork(filters, np.zeros(2), np.ones((2, 1, 1)), [0.0], pooling="max"),
        cvxnn.TokenNetwork("self_attention", [heads, heads]),
    ]
    contents = []
    for network in networks:
        network.save(path)
        contents.append(path.read_bytes())
    lost, seen = 0, Counter()
    for k in range(count):
        network = networks[k % 3]
        path.write_bytes(corrupted(contents[k % 3], rng))
        try:
            type(network).load(path)
        except ValueError as error:
            seen["refused"] += 1
            lost += not str(error).startswith(f"{path} ")
        except Exception:
            lost += 1
        else:
            seen["harmless"] += 1
            lost += not opened(path, [network])
    return count, f"{outcome(seen)}: the same weights", lost


def in_folder(function):
    """Give a function a folder of its own."""

    def run(count, rng):
        with tempfile.TemporaryDirectory() as folder:
            return function(count, rng, Path(folder))

    return run


PARTS = {
    "threads": ("fits and predicts from threads", 200, lambda count, _: from_threads(count)),
    "processes": ("fits and predicts from processes", 200, lambda count, _: from_processes(count)),
    "memory": ("fits in one process", 1000, lambda count, _: memory(count)),
    "limits": ("time limits of solves", 300, time_limits),
    "fits": ("Ctrl-C in fits", 400, ctrl_c_in_fits),
    "saves": ("Ctrl-C in Network.save", 5000, in_folder(ctrl_c_in_saves)),
    "kills": ("kill -9 in Network.save", 50, in_folder(kill_in_saves)),
    "command": ("Ctrl-C in cvxnn fit", 50, in_folder(ctrl_c_in_command)),
    "corrupt": ("corrupt files of networks", 30_000, in_folder(corrupt_files)),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=float, default=1.0, help="share of the counts")
    parser.add_argument("--only", choices=PARTS, help="one part")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    warnings.simplefilter("ignore")  # of solves that end early
    signal.signal(signal.SIGINT, signal.default_int_handler)
    print("| what | tried | outcome | lost | s |")
    print("|---|---|---|---|---|")
    total = 0
    for name in [args.only] if args.only else PARTS:
        title, count, run = PARTS[name]
        start = time.perf_counter()
        rng = np.random.default_rng(args.seed)
        tried, found, lost = run(max(int(args.scale * count), 8), rng)
        seconds = time.perf_counter() - start
        print(f"| {title} | {tried} | {found} | {int(lost)} | {seconds:.0f} |", flush=True)
        total += lost
    return 1 if total else 0


if __name__ == "__main__":
    sys.exit(main())

"""Every solver on every problem, to one objective, in one run; prints the table as Markdown.

    python bench/peers/run.py [--quick] [--problems breast,magic] [--peers pyscnn] [--jobs 2]

bench/RESULTS.md begins with what it prints.

Wall seconds on one thread, each job on a core of its own. cvxnn: from X, gates and targets to a
result, float32 data, median of three cold solves (one where a solve takes more than ten seconds).
Certified: with a relative duality gap of 1e-3 and of 1e-6. The peers, and cvxnn beside them at
1e-3: to an objective, evaluated in float64 outside of them, within 1e-3 and 1e-6 of the optimum,
each at its cheapest tolerance that gets there; peers in single runs. They are given up after 100
times cvxnn's time to 1e-6, at least one and at most --limit seconds; ``>`` marks what was not
reached by then, with the best suboptimality, and its ratio is a lower bound. ``-``: the dense
matrix that the package needs is larger than 2 GB. Where cvxnn missed the target, which its gap in
brackets shows, ratios are of the seconds at which it was given up.
"""

import argparse
import json
import multiprocessing
import os
import statistics
import sys
import time
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1]))  # what benchmarks share

STRENGTHS = (1e-1, 1e-2, 1e-3)
TARGETS = (1e-3, 1e-6)
TIGHT = 1e-9
LOOSE = (1e-1, 1e-2)  # tolerances that may be enough for the first target, which is not a gap
IMPORTS = 6.0  # seconds that a child may take to load a peer
# Longest first, so that both cores end together.
ORDER = (
    "synth_big",
    "spambase",
    "magic",
    "synth_mid",
    "mnist5k",
    "digits10",
    "breast",
    "diabetes",
    "wine3",
)
QUICK = ("breast", "diabetes", "wine3")


def own_times(problem, strength: float, tol: float, time_limit: float) -> tuple:
    """Return the seconds of each run, the last solution and its lower bound."""
    from solvers import cvxnn_solution

    seconds: list[float] = []
    while len(seconds) < 3 and sum(seconds) < 10:
        start = time.perf_counter()
        U, bound = cvxnn_solution(problem, strength, tol, time_limit=time_limit)
        seconds.append(time.perf_counter() - start)
    return seconds, U, bound


def with_limit(solve, problem, strength: float, goals: list[float], budget: float) -> dict:
    """Run a peer in a child that is killed after its budget: none has a time limit."""
    import solvers

    receiver, sender = multiprocessing.Pipe(duplex=False)

    def work() -> None:
        solvers.on_rung = lambda run: sender.send(vars(run))
        try:
            sender.send(vars(solve(problem, strength, goals, budget)))
        except Exception as error:  # a peer's failure is a result
            sender.send({"failed": repr(error)[:200]})
        sender.send(None)

    child = multiprocessing.get_context("fork").Process(target=work)
    start = time.perf_counter()
    child.start()
    result: dict = {"seconds": [None] * len(goals), "spent": 0.0, "best": np.inf}
    while receiver.poll(max(0.0, start + 1.2 * budget + IMPORTS - time.perf_counter())):
        message = receiver.recv()
        if message is None:
            break
        result = message
    else:
        child.kill()
        result["spent"] = time.perf_counter() - start
    child.join()
    return result


def job(name: str, ratio: float, limit: float, peers: list[str], peer_limit: float) -> dict:
    """One problem at one strength, cvxnn and these peers."""
    import problems
    import solvers
    from objective import objective

    problem = problems.get(name)
    (n, d), (P, c) = problem.X.shape, (problem.masks.shape[1], problem.Y.shape[1])
    strength = ratio * problem.lambda_max
    row: dict = {"problem": name, "ratio": ratio, "shape": (n, d, P, c), "limit": limit}
    # A first call loads code: not a solve's time.
    solvers.cvxnn_solution(problem, 0.9 * problem.lambda_max, 1e-1)
    optimum = -np.inf  # the highest certified lower bound
    for tol in (*TARGETS, TIGHT):
        seconds, U, bound = own_times(problem, strength, tol, limit)
        primal = objective(problem, U, strength)
        optimum = max(optimum, bound)
        row[f"cvxnn {tol:g}"] = {
            "seconds": statistics.median(seconds),
            "runs": len(seconds),
            "gap": (primal - bound) / primal,
            "active": int(U.any(axis=2).sum()),
        }
    goals = [optimum * (1 + target) for target in TARGETS]
    row["cvxnn uncertified"] = row["cvxnn 0.001"]["seconds"]
    for tol in LOOSE:
        seconds, U, _ = own_times(problem, strength, tol, limit)
        if objective(problem, U, strength) <= goals[0]:
            row["cvxnn uncertified"] = min(row["cvxnn uncertified"], statistics.median(seconds))
            break
    budget = min(peer_limit, max(1.0, 100 * row["cvxnn 1e-06"]["seconds"]))
    row["budget"] = budget
    for peer, solve in solvers.PEERS.items():
        if peers and peer not in peers:
            continue
        if peer in solvers.NEEDS_DENSE and problem.dense_bytes > solvers.DENSE_LIMIT:
            continue
        if peer == "skglm":  # numba compiles: once, before it is timed in a child
            tiny = problems.make("tiny", *problems.teacher(50, 3, 0), 4, 0)
            solve(tiny, 0.1 * tiny.lambda_max, [0.0], 0.0)
        result = with_limit(solve, problem, strength, goals, budget)
        if "best" in result:
            result["best"] = result["best"] / optimum - 1
        row[peer] = result
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="the three small problems")
    parser.add_argument("--problems", help="names, comma-separated")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--limit", type=float, default=10.0, help="most seconds for a solver")
    parser.add_argument("--peers", default="", help="names, comma-separated; without, all")
    parser.add_argument("--peer-limit", type=float, help="another limit for those")
    parser.add_argument("--job", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=Path, help="write, or with --report read, the rows as JSON")
    parser.add_argument("--report", action="store_true", help="only print the rows of a past run")
    args = parser.parse_args()
    if args.job:
        name, ratio = args.job
        peers = [peer for peer in args.peers.split(",") if peer]
        row = job(name, float(ratio), args.limit, peers, args.peer_limit or args.limit)
        print(json.dumps(row, default=float))
        return
    from report import report

    from jobs import run_pinned

    if args.report:
        report(json.loads(args.rows.read_text()))
        return
    names = args.problems.split(",") if args.problems else QUICK if args.quick else ORDER
    limit = min(args.limit, 10.0) if args.quick else args.limit
    start = time.perf_counter()
    options = ["--limit", f"{limit:g}", "--peers", args.peers]
    if args.peer_limit:
        options += ["--peer-limit", f"{args.peer_limit:g}"]
    jobs = [("--job", name, f"{ratio:g}", *options) for name in names for ratio in STRENGTHS]
    rows = run_pinned(__file__, jobs, args.jobs)
    rows.sort(key=lambda row: (ORDER[::-1].index(row["problem"]), -row["ratio"]))
    if args.rows:
        args.rows.write_text(json.dumps(rows))
    report(rows)
    print(f"\nWhole run: {(time.perf_counter() - start) / 60:.1f} minutes, `{' '.join(sys.argv)}`.")


if __name__ == "__main__":
    np.seterr(all="ignore")
    main()

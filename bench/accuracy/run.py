"""Test scores of tuned models on real data sets; prints the tables as Markdown.

    python bench/accuracy/run.py [--quick] [--sets sonar,auto] [--jobs 2] > bench/ACCURACY.md

With `--rows file` the results are kept as JSON; another run with `--models cvxnn` and the same file
replaces those of one model only.

Three outer folds of each set, shuffled and stratified by class; a score is the mean of accuracy, or
R2, over them, and a fit includes the choice of parameters by five folds within the outer training
part. `cvxnn` is `ReLUClassifierCV` and `ReLURegressorCV` with default settings, `gated` the same
with `activation="gated_relu"`. The grids of the others are in models.py. The default gates and
alphas were chosen with an eye on the outer scores of these sets, all but segment and spambase: on
those two nothing was tried.

Spread: on the first outer fold a model is fitted again at its chosen parameters with four other
seeds, and the largest score less the smallest is shown. Fits are CPU seconds on one thread, which
a busy machine changes little; predict is the median wall time of one row. Sets are cut to 1,000
samples at random. Each set is a job on a core of its own.
"""

import argparse
import json
import os
import statistics
import sys
import time
import warnings
from collections.abc import Iterable
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # what benchmarks share

OUTER_FOLDS = 3
SEEDS = range(5)
LATENCY_REPEATS = 100
QUICK = ("heart", "auto")
ADAPTIVE = ("sonar", "heart", "auto", "diabetes")  # sets of the table on adaptive patterns
# Longest first, so that both cores end together.
ORDER = (
    "digits",
    "segment",
    "vehicle",
    "spambase",
    "magic",
    "phoneme",
    "concrete",
    "computers",
    "pima",
    "cars",
    "breast_cancer",
    "biomass",
    "auto",
    "ionosphere",
    "diabetes",
    "heart",
    "sonar",
)


def latency(model, row) -> float:
    """Return the median seconds of predict on one row."""
    seconds = []
    for _ in range(LATENCY_REPEATS):
        start = time.perf_counter()
        model.predict(row)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def evaluate(name: str, data, folds) -> dict:
    """One model on one set."""
    import models

    scores, seconds, neurons, spread = [], [], [], []
    for train, test in folds:
        start = time.process_time()
        model = models.MODELS[name](data.is_classification, 0)
        model.fit(data.X[train], data.y[train])
        seconds.append(time.process_time() - start)
        scores.append(model.score(data.X[test], data.y[test]))
        neurons.append(models.n_neurons(model))
        if len(scores) == 1:
            for seed in SEEDS:
                again = models.reseeded(model, seed).fit(data.X[train], data.y[train])
                spread.append(again.score(data.X[test], data.y[test]))
    return {
        "score": statistics.mean(scores),
        "spread": max(spread) - min(spread),
        "seconds": statistics.mean(seconds),
        "neurons": None if neurons[0] is None else statistics.mean(neurons),
        "latency": latency(model, data.X[:1]),
    }


def job(name: str, chosen: list[str] | None) -> dict:
    """One set, all models or those that are chosen."""
    import models
    from seeds import adaptive_spreads
    from sklearn.model_selection import KFold, StratifiedKFold

    import data

    warnings.simplefilter("ignore")  # an MLP that has not converged is a result
    found = data.load(name)
    splitter = StratifiedKFold if found.is_classification else KFold
    splits = splitter(OUTER_FOLDS, shuffle=True, random_state=0).split(found.X, found.y)
    folds = list(splits)
    row = {
        "set": name,
        "shape": found.X.shape,
        "n_all": found.n_all,
        "classes": int(found.y.max()) + 1 if found.is_classification else None,
        "models": {model: evaluate(model, found, folds) for model in chosen or models.MODELS},
    }
    if name in ADAPTIVE:
        row["adaptive"] = adaptive_spreads(found, folds[0], SEEDS)
    return row


def merged(past: list[dict], rows: list[dict], order: Iterable[str]) -> list[dict]:
    """Return the rows, with what a past run has of other sets and models."""
    found = {row["set"]: row for row in past}
    for row in rows:
        before = found.get(row["set"], {"models": {}})
        models = before["models"] | row["models"]
        found[row["set"]] = before | row | {"models": {m: models[m] for m in order if m in models}}
    return list(found.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two small sets")
    parser.add_argument("--sets", help="names, comma-separated")
    parser.add_argument("--models", help="names, comma-separated")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--job", help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=Path, help="write, or with --report read, the rows as JSON")
    parser.add_argument("--report", action="store_true", help="only print the rows of a past run")
    args = parser.parse_args()
    chosen = args.models.split(",") if args.models else None
    if args.job:
        print(json.dumps(job(args.job, chosen), default=float))
        return
    from models import MODELS
    from report import report

    from jobs import run_pinned

    if args.report:
        report(json.loads(args.rows.read_text()))
        return
    names = args.sets.split(",") if args.sets else QUICK if args.quick else ORDER
    start = time.perf_counter()
    options = ("--models", args.models) if args.models else ()
    rows = run_pinned(__file__, [("--job", name, *options) for name in names], args.jobs)
    if args.rows:
        rows = merged(json.loads(args.rows.read_text()) if args.rows.exists() else [], rows, MODELS)
        args.rows.write_text(json.dumps(rows))
    rows.sort(key=lambda row: ORDER[::-1].index(row["set"]))
    report(rows)
    print(f"\nWhole run: {(time.perf_counter() - start) / 60:.1f} minutes, `{' '.join(sys.argv)}`.")


if __name__ == "__main__":
    main()

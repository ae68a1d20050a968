"""Networks of each family beside torch: seconds to an objective, and accuracy; prints Markdown.

    python bench/families/run.py [--quick] [--only dense,conv-mean] [--jobs 2]

Digits of scikit-learn, one thread, each job on a core of its own; all seconds are of the
CPU, which a busy machine changes less than those of the clock.

Seconds to an objective: odd digits or not, logistic loss, the first 1000 images, alpha 0.03 of the
largest, 0.1 where all patterns are searched. cvxnn to a relative duality gap of 1e-3, from images
to a network. Adam on the same network with the same weight decay, by full batches in float32 from
random weights at a constant rate, until its objective is at most 1e-3 above cvxnn's. The rate is
the best of four for one seed, the seconds are the best of three seeds; tuning is not counted. Of
gated networks it is given gates: those that cvxnn found to matter, these twice, or all that cvxnn
chose from. It has ten times cvxnn's seconds, and at least five. `>` was not reached by then, and
what it was above is in brackets.

Accuracy: all ten digits, three outer folds; on the outer training part a fifth validates alpha of
cvxnn, learning rate and weight decay of torch, which then are fitted to all of it. See accuracy.py.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # what benchmarks share

# Longest first, so that both cores end together.
RACES = (
    "mixer",
    "attention",
    "dense-adaptive",
    "conv-max",
    "conv-mean",
    "fno",
    "circular",
    "conv-mean-relu",
    "conv-linear",
    "dense",
    "dense-relu",
    "norm",
    "norm-relu",
)
SCORES = ("CNN", "self-attention", "batch norm")
QUICK = (("race", "norm"), ("race", "dense"), ("score", "batch norm"))


def job(kind: str, name: str) -> dict:
    if kind == "race":
        from race import race

        return race(name)
    from accuracy import score

    return score(name)


def name_of(row: dict) -> str:
    return row["family"] if "family" in row else row["score"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two families, and one's accuracy")
    parser.add_argument("--only", help="names, comma-separated")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--job", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=Path, help="JSON to put the rows into, beside others")
    parser.add_argument("--report", action="store_true", help="only print the rows of a past run")
    args = parser.parse_args()
    if args.job:
        print(json.dumps(job(*args.job), default=float))
        return
    from report import report

    from jobs import run_pinned

    if args.report:
        report(json.loads(args.rows.read_text()))
        return
    start = time.perf_counter()
    jobs = [*(("score", name) for name in SCORES), *(("race", name) for name in RACES)]
    if args.quick:
        jobs = list(QUICK)
    if args.only:
        jobs = [entry for entry in jobs if entry[1] in args.only.split(",")]
    rows = run_pinned(__file__, [("--job", *entry) for entry in jobs], args.jobs)
    if args.rows:
        past = json.loads(args.rows.read_text()) if args.rows.exists() else []
        named = {name_of(row) for row in rows}
        rows = [row for row in past if name_of(row) not in named] + rows
        args.rows.write_text(json.dumps(rows))
    report(rows)
    print(f"\nWhole run: {(time.perf_counter() - start) / 60:.1f} minutes, `{' '.join(sys.argv)}`.")


if __name__ == "__main__":
    main()

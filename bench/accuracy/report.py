"""The rows of a run as Markdown: scores and their ranks, spread, times, sizes."""

import statistics

import numpy as np
from scipy.stats import rankdata

from jobs import machine, versions

PACKAGES = ("cvxnn", "scikit-learn", "pyscnn", "numpy")


def report(rows: list[dict]) -> None:
    print("# Accuracy on real data\n")
    print("`python bench/accuracy/run.py`: what is measured and how is said at its head.\n")
    print(f"Machine: {machine()}, one core a job. {versions(PACKAGES)}.")
    scores(rows)
    table("Spread of the score over five seeds", rows, "spread", "{:.4f}")
    table("CPU seconds to fit, with tuning", rows, "seconds", "{:.2f}")
    table("Hidden neurons", rows, "neurons", "{:.0f}")
    table("Milliseconds to predict one row", rows, "latency", "{:.3f}", factor=1e3)
    pairs(rows)
    seeds(rows)


def shared_models(rows: list[dict]) -> list[str]:
    """Return the models that all rows have, in their order."""
    return [model for model in rows[0]["models"] if all(model in row["models"] for row in rows)]


def head(title: str, *columns: str) -> None:
    print(f"\n## {title}\n")
    print(f"| {' | '.join(columns)} |")
    print("|" + "---|" * len(columns))


def label(row: dict) -> str:
    n, d = row["shape"]
    of_all = f" of {row['n_all']}" if row["n_all"] > n else ""
    kind = "R2" if row["classes"] is None else f"{row['classes']} classes"
    return f"{row['set']} ({n}{of_all} x {d}, {kind})"


def ranks(rows: list[dict]) -> np.ndarray:
    """Return the rank of each model on each set, 1 for the best, shared by equals."""
    models = shared_models(rows)
    found = [[row["models"][model]["score"] for model in models] for row in rows]
    return rankdata(-np.round(found, 6), axis=1)


def scores(rows: list[dict]) -> None:
    models = shared_models(rows)
    head("Accuracy, or R2", "set", *models)
    for row in rows:
        values = [row["models"][model]["score"] for model in models]
        best = max(values)
        cells = [f"**{v:.3f}**" if v > best - 5e-4 else f"{v:.3f}" for v in values]
        print(f"| {label(row)} | {' | '.join(cells)} |")
    found = ranks(rows)
    classes = np.array([row["classes"] is not None for row in rows])
    for title, kept in (
        ("mean rank", np.ones(len(rows), bool)),
        ("mean rank, classes", classes),
        ("mean rank, R2", ~classes),
    ):
        if kept.any():
            means = found[kept].mean(axis=0)
            print(f"| {title} | {' | '.join(f'{mean:.2f}' for mean in means)} |")


def table(title: str, rows: list[dict], key: str, form: str, factor: float = 1.0) -> None:
    """One number a set and model, and its geometric mean where all are positive."""
    shown = [model for model in shared_models(rows) if rows[0]["models"][model][key] is not None]
    head(title, "set", *shown)
    columns = {model: [factor * row["models"][model][key] for row in rows] for model in shown}
    for k, row in enumerate(rows):
        print(f"| {row['set']} | {' | '.join(form.format(columns[m][k]) for m in shown)} |")
    if all(min(column) > 0 for column in columns.values()):
        means = [form.format(statistics.geometric_mean(columns[model])) for model in shown]
        print(f"| geometric mean | {' | '.join(means)} |")


def pairs(rows: list[dict]) -> None:
    """How often cvxnn is ahead of each model, by how much, and the ratio of times."""
    models = shared_models(rows)
    if "cvxnn" not in models:
        return
    names = ("model", "ahead", "equal", "behind", "mean difference", "seconds over cvxnn's")
    head("cvxnn against each", *names)
    for model in models:
        if model == "cvxnn":
            continue
        both = [(row["models"]["cvxnn"], row["models"][model]) for row in rows]
        differences = np.round([own["score"] - other["score"] for own, other in both], 6)
        ratio = statistics.geometric_mean(other["seconds"] / own["seconds"] for own, other in both)
        print(
            f"| {model} | {(differences > 0).sum()} | {(differences == 0).sum()} | "
            f"{(differences < 0).sum()} | {differences.mean():+.4f} | {ratio:.2f} |"
        )


def seeds(rows: list[dict]) -> None:
    """ReLU networks with adaptive patterns. With exact ones nothing is random."""
    found = [(row["set"], entry) for row in rows for entry in row.get("adaptive", ())]
    if not found:
        return
    print("\n## ReLU networks with adaptive patterns, five seeds\n")
    print("Objectives: the largest over the smallest, less one. Outputs: the largest difference")
    print("on a test sample, over the standard deviation of the outputs. Exact patterns leave")
    print("nothing to a seed.\n")
    print("| set | alpha / alpha_max | status | scores | objectives | outputs |")
    print("|---|---|---|---|---|---|")
    for name, entry in found:
        low, high = entry["scores"]
        print(
            f"| {name} | {entry['ratio']:g} | {', '.join(entry['status'])} | "
            f"{low:.6f} to {high:.6f} | {entry['objective']:.0e} | {entry['difference']:.0e} |"
        )

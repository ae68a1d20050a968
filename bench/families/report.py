"""The rows of a run as Markdown."""

import math

from jobs import machine, versions

PACKAGES = ("cvxnn", "torch", "numpy", "scikit-learn")
CONTENDERS = ("same", "twice", "all")


def report(rows: list[dict]) -> None:
    print("## Families\n")
    print("`python bench/families/run.py`: what is measured and how is said at its head.\n")
    print(f"Machine: {machine()}, one core a job. {versions(PACKAGES)}.")
    races([row for row in rows if "family" in row])
    scores([row for row in rows if "score" in row])


def seconds(found: dict | None) -> str:
    """The seconds to the goal, or how far above it a run was when its time was over."""
    if found is None:
        return "-"
    if math.isfinite(found["reached"]):
        return f"{found['reached']:.3g}"
    return f">{found['budget']:.3g} ({found['excess']:+.0e})"


def races(rows: list[dict]) -> None:
    from problems import FAMILIES

    if not rows:
        return
    order = list(FAMILIES)
    print("\n### CPU seconds to the objective of cvxnn\n")
    print("The last column is the least objective of Adam over cvxnn's, less one, after five")
    print("seconds or all of its time. ReLU neurons of Adam may have patterns that cvxnn was not")
    print("given; gated ones cannot be below cvxnn's lower bound. The fastest is bold.\n")
    print(
        "| family | neurons | objective | gap | cvxnn | Adam | Adam, twice as wide "
        "| Adam, all gates | Adam at its end |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    ahead = 0
    for row in sorted(rows, key=lambda row: order.index(row["family"])):
        found = {key: row["adam"].get(key) for key in CONTENDERS}
        runs = [run | {"budget": row["budget"]} if run else None for run in found.values()]
        times = [row["seconds"], *(run["reached"] if run else math.inf for run in runs)]
        texts = [f"{row['seconds']:.3g}", *(seconds(run) for run in runs)]
        best = times.index(min(times))
        texts[best] = f"**{texts[best]}**"
        ahead += best == 0
        least = min(run["excess"] for run in runs if run)
        print(
            f"| {FAMILIES[row['family']].title} | {row['width']} | {row['objective']:.4f} | "
            f"{row['gap']:.0e} | {' | '.join(texts)} | {least:+.1e} |"
        )
    print(f"\ncvxnn is first in {ahead} of {len(rows)}.")


def scores(rows: list[dict]) -> None:
    if not rows:
        return
    print("\n### Accuracy, and CPU seconds with tuning, means over folds\n")
    print("| network | neurons | cvxnn | torch | cvxnn, s | torch, s |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        both = (row["cvxnn"], row["torch"])
        cells = [f"**{value:.4f}**" if value == max(both) else f"{value:.4f}" for value in both]
        print(
            f"| {row['score']} | {row['width']:.0f} | {' | '.join(cells)} | "
            f"{row['s']:.1f} | {row['torch s']:.1f} |"
        )

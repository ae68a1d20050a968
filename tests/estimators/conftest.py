"""Data that the tests of estimators share."""

import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes


@pytest.fixture(scope="session")
def regression():
    """Return 200 samples of diabetes."""
    X, y = load_diabetes(return_X_y=True)
    return X[:200], y[:200]


@pytest.fixture(scope="session")
def classification():
    """Return 240 samples of breast_cancer."""
    X, y = load_breast_cancer(return_X_y=True)
    return X[:240], y[:240]

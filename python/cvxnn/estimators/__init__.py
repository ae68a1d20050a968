"""scikit-learn estimators."""

from cvxnn.estimators._classifier import ReLUClassifier
from cvxnn.estimators._regressor import ReLURegressor

__all__ = ["ReLUClassifier", "ReLURegressor"]

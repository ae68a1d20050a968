"""scikit-learn estimators."""

from cvxnn.estimators._classifier import ReLUClassifier
from cvxnn.estimators._classifier_cv import ReLUClassifierCV
from cvxnn.estimators._conv_classifier import ConvReLUClassifier
from cvxnn.estimators._conv_regressor import ConvReLURegressor
from cvxnn.estimators._regressor import ReLURegressor
from cvxnn.estimators._regressor_cv import ReLURegressorCV

__all__ = [
    "ConvReLUClassifier",
    "ConvReLURegressor",
    "ReLUClassifier",
    "ReLUClassifierCV",
    "ReLURegressor",
    "ReLURegressorCV",
]

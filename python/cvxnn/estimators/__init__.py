"""scikit-learn estimators."""

from cvxnn.estimators._classifier import ReLUClassifier
from cvxnn.estimators._classifier_cv import ReLUClassifierCV
from cvxnn.estimators._conv_classifier import ConvReLUClassifier
from cvxnn.estimators._conv_classifier_cv import ConvReLUClassifierCV
from cvxnn.estimators._conv_regressor import ConvReLURegressor
from cvxnn.estimators._conv_regressor_cv import ConvReLURegressorCV
from cvxnn.estimators._regressor import ReLURegressor
from cvxnn.estimators._regressor_cv import ReLURegressorCV
from cvxnn.estimators._tokens import ConvexFNO, ConvexMLPMixer, ConvexSelfAttention

__all__ = [
    "ConvReLUClassifier",
    "ConvReLUClassifierCV",
    "ConvReLURegressor",
    "ConvReLURegressorCV",
    "ConvexFNO",
    "ConvexMLPMixer",
    "ConvexSelfAttention",
    "ReLUClassifier",
    "ReLUClassifierCV",
    "ReLURegressor",
    "ReLURegressorCV",
]

"""Neural networks trained to certified global optimality by convex optimisation."""

import importlib
from typing import TYPE_CHECKING, Any

from cvxnn.arrangements import (
    PatternSet,
    activation_patterns,
    sample_gates,
)
from cvxnn.batch_norm import BatchNormNetwork, BatchNormOptimum, batch_norm_closed_form
from cvxnn.certificates import Certificate, certify
from cvxnn.circular import CircularResult, solve_circular, solve_circular_path
from cvxnn.conv_network import ConvNetwork
from cvxnn.core import alpha_max, solve, solve_path
from cvxnn.decomposition import Decomposition, decompose
from cvxnn.diagnostics import show_versions
from cvxnn.enumeration import enumerate_patterns
from cvxnn.gate_samplers import (
    sample_convolutional_gates,
    sample_quantile_gates,
    sample_sparse_gates,
)
from cvxnn.group_lasso import solve_group_lasso
from cvxnn.losses import Huber
from cvxnn.network import Network
from cvxnn.optimal_sets import OptimalSet, optimal_set
from cvxnn.pruning import canonical_form, prune
from cvxnn.results import (
    ConvergenceWarning,
    GroupLassoResult,
    IterationInfo,
    PathResult,
    SolveResult,
)
from cvxnn.three_layer import ThreeLayerResult, solve_three_layer, solve_three_layer_path
from cvxnn.token_network import TokenNetwork

if TYPE_CHECKING:
    from cvxnn import plot as plot
    from cvxnn.estimators import (
        ConvexFNO,
        ConvexMLPMixer,
        ConvexSelfAttention,
        ConvReLUClassifier,
        ConvReLUClassifierCV,
        ConvReLURegressor,
        ConvReLURegressorCV,
        ReLUClassifier,
        ReLUClassifierCV,
        ReLURegressor,
        ReLURegressorCV,
    )

__version__ = "0.1.0"

__all__ = [
    "BatchNormNetwork",
    "BatchNormOptimum",
    "Certificate",
    "CircularResult",
    "ConvNetwork",
    "ConvReLUClassifier",
    "ConvReLUClassifierCV",
    "ConvReLURegressor",
    "ConvReLURegressorCV",
    "ConvergenceWarning",
    "ConvexFNO",
    "ConvexMLPMixer",
    "ConvexSelfAttention",
    "Decomposition",
    "GroupLassoResult",
    "Huber",
    "IterationInfo",
    "Network",
    "OptimalSet",
    "PathResult",
    "PatternSet",
    "ReLUClassifier",
    "ReLUClassifierCV",
    "ReLURegressor",
    "ReLURegressorCV",
    "SolveResult",
    "ThreeLayerResult",
    "TokenNetwork",
    "activation_patterns",
    "alpha_max",
    "batch_norm_closed_form",
    "canonical_form",
    "certify",
    "decompose",
    "enumerate_patterns",
    "optimal_set",
    "prune",
    "sample_convolutional_gates",
    "sample_gates",
    "sample_quantile_gates",
    "sample_sparse_gates",
    "show_versions",
    "solve",
    "solve_circular",
    "solve_circular_path",
    "solve_group_lasso",
    "solve_path",
    "solve_three_layer",
    "solve_three_layer_path",
]

# scikit-learn takes most of a second to import: only those who ask for an estimator wait for it.
_ESTIMATORS = (
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
)


def __getattr__(name: str) -> Any:
    if name in _ESTIMATORS:
        from cvxnn import estimators

        return getattr(estimators, name)
    if name == "plot":  # a module that only those who draw wait for
        return importlib.import_module("cvxnn.plot")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_ESTIMATORS, "plot"})

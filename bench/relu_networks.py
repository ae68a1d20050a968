"""ReLU networks of other solvers, and the objective that they are judged by."""

import time

import numpy as np


def objective(X, y, alpha, hidden, output):
    """Of hidden weights (d, m) and output weights (m,), balanced, so that weight decay is least."""
    fit = np.maximum(X @ hidden, 0.0) @ output
    decay = np.sum(np.linalg.norm(hidden, axis=0) * np.abs(output))
    return np.sum((fit - y) ** 2) / (2 * len(y)) + alpha * decay


def by_pyscnn(X, y, gates, alpha, budget=np.inf):
    """Return seconds, hidden and output weights of pyscnn's augmented Lagrangian for ReLU programs.

    It stops by itself, in float32, or at the budget in seconds.
    """
    import scnn.private.methods.termination_criteria as criteria
    from scnn.metrics import Metrics
    from scnn.models import ConvexReLU
    from scnn.optimize import optimize_model
    from scnn.regularizers import NeuronGL1
    from scnn.solvers import AL

    begin = time.perf_counter()
    # It has no time limit: its stopping tests are made to look at the clock.
    for test in (criteria.GradientNorm, criteria.ConstrainedHeuristic):
        kept = test.__dict__.get("_own_call", test.__call__)
        test._own_call = kept

        def call(self, *args, kept=kept, **options):
            late = time.perf_counter() - begin > budget
            return late or kept(self, *args, **options)

        test.__call__ = call
    model = ConvexReLU(gates, c=1)
    network, _ = optimize_model(
        model,
        AL(model),
        Metrics(),
        X.astype(np.float32),
        y[:, None].astype(np.float32),
        regularizer=NeuronGL1(alpha),
        unitize_data=False,
    )
    hidden, output = (np.asarray(part, dtype=np.float64) for part in network.get_parameters()[:2])
    return time.perf_counter() - begin, hidden.T, output.ravel()

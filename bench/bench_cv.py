"""Seconds of cross-validated estimators: 100 alphas, 5 folds, and nested in 5 outer folds.

    python bench/bench_cv.py [--n-jobs 2] [--outer 5]

On breast_cancer and diabetes, down to a thousandth of the largest alpha. Beside them scikit-learn's
linear models of the same kind, LogisticRegressionCV (l2) and LassoCV, for what a network gains and
costs; `score` is the accuracy or R2 of the outer folds.
"""

import argparse
import time

from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.linear_model import LassoCV, LogisticRegressionCV
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import cvxnn


def contenders(n_jobs):
    logistic = LogisticRegressionCV(
        Cs=100, l1_ratios=(0.0,), cv=5, scoring="accuracy", n_jobs=n_jobs, max_iter=1000
    ).set_params(use_legacy_attributes=False)
    path = {"n_alphas": 100, "eps": 1e-3, "n_jobs": n_jobs}
    cancer, diabetes = (load(return_X_y=True) for load in (load_breast_cancer, load_diabetes))
    for activation in ("relu", "gated_relu"):
        yield "breast_cancer", cancer, cvxnn.ReLUClassifierCV(activation=activation, **path)
    yield "breast_cancer", cancer, make_pipeline(StandardScaler(), logistic)
    for activation in ("relu", "gated_relu"):
        yield "diabetes", diabetes, cvxnn.ReLURegressorCV(activation=activation, **path)
    yield "diabetes", diabetes, make_pipeline(StandardScaler(), LassoCV(n_jobs=n_jobs))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n-jobs", type=int, default=2)
    parser.add_argument("--outer", type=int, default=5, help="outer folds of the nested run")
    args = parser.parse_args()
    print("| data | model | fit, s | nested, s | score |")
    print("|---|---|---|---|---|")
    for name, (X, y), model in contenders(args.n_jobs):
        start = time.perf_counter()
        model.fit(X, y)
        once = time.perf_counter() - start
        start = time.perf_counter()
        scores = cross_val_score(model, X, y, cv=args.outer)
        nested = time.perf_counter() - start
        last = model.steps[-1][1] if hasattr(model, "steps") else model
        activation = getattr(last, "activation", None)
        label = type(last).__name__ + (f", {activation}" if activation else "")
        print(
            f"| {name} | {label} | {once:.2f} | {nested:.2f} | "
            f"{scores.mean():.3f} +- {scores.std():.3f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()

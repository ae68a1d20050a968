"""What estimators do with targets: encode them for a fit, and turn outputs into predictions."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, softmax
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets

from cvxnn._validation import (
    Float,
    Samples,
    check_raw_weight,
    check_targets,
    named,
)
from cvxnn.estimators._certified import CertifiedEstimator
from cvxnn.estimators._columns import Standardizer, canonical_rows


class RegressorTargets(RegressorMixin, CertifiedEstimator):
    """Targets of a regression, standardised for the fit."""

    _losses: ClassVar[tuple[str, ...]] = ("squared", "huber")
    _target_options: ClassVar[dict[str, bool]] = {"multi_output": True, "y_numeric": True}

    def _encode(
        self, X: Samples, y: NDArray[Any], weight: Float
    ) -> tuple[Samples, Float, Float, Standardizer]:
        self._one_column = y.ndim == 1
        targets = check_targets(y, X.shape[0], labels=False, shares=False, several=True)
        X, targets, weight = canonical_rows(X, targets, weight)
        target_map = Standardizer(
            targets, weight, center=self.fit_intercept, scale=self.standardize
        )
        scaled = np.asarray(target_map.transform(targets, constant_column=False), dtype=np.float64)
        return X, scaled, weight, target_map

    def predict(self, X: ArrayLike) -> Float:
        """Return the predicted targets.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Inputs, of the kind that `fit` takes.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
            In the shape of the targets of `fit`.
        """
        outputs = self._outputs(X)
        return outputs.reshape(-1) if self._one_column else outputs.reshape(len(outputs), -1)

    def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Return the coefficient of determination of the predictions.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Inputs, of the kind that `fit` takes.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights; None is one.

        Returns
        -------
        float
        """
        found = self.predict(X)
        weight = check_raw_weight(sample_weight, len(found))
        with named("y"):
            return float(r2_score(y, found, sample_weight=weight))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


class ClassifierTargets(ClassifierMixin, CertifiedEstimator):
    """Labels, encoded as the loss wants them, and weights of classes."""

    _losses: ClassVar[tuple[str, ...]] = ("logistic", "softmax", "squared_hinge", "hinge")
    _target_options: ClassVar[dict[str, bool]] = {}
    class_weight: Mapping[Any, float] | str | None

    def _check_training(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None
    ) -> tuple[Samples, NDArray[Any], Float]:
        # The sibling's, which is not abstract.
        checked = super()._check_training(X, y, sample_weight)  # type: ignore[safe-super]
        data, labels, weight = checked
        with named("y"):
            check_classification_targets(labels)
            n_classes = len(np.unique(labels[weight > 0.0]))
        if n_classes < 2:
            raise ValueError(f"y must hold at least two classes, got {n_classes} class")
        return data, labels, weight

    def _encode(
        self, X: Samples, y: NDArray[Any], weight: Float
    ) -> tuple[Samples, Float, Float, Standardizer]:
        self.classes_ = np.unique(y[weight > 0.0])
        shares = self.loss == "softmax"
        binary = len(self.classes_) == 2 and not shares
        positive = self.classes_[1:] if binary else self.classes_
        targets = np.where(y[:, None] == positive, 1.0, 0.0 if shares else -1.0)
        X, targets, weight = canonical_rows(X, targets, weight)
        labels = self.classes_[(targets[:, 0] > 0).astype(np.intp) if binary else targets.argmax(1)]
        weight = self._class_weighted(labels, weight)
        return X, targets, weight, Standardizer(targets, weight, center=False, scale=False)

    def _class_weighted(self, y: NDArray[Any], weight: Float) -> Float:
        """Return weights times those of the classes; a row of weight two counts as two rows."""
        classes, index = np.unique(y, return_inverse=True)
        if self.class_weight == "balanced":
            factors = weight.sum() / (len(classes) * np.bincount(index, weights=weight))
        else:
            factors = compute_class_weight(self.class_weight, classes=classes, y=classes)
        if not (np.isfinite(factors).all() and (factors > 0.0).all()):
            raise ValueError(f"class_weight must be positive and finite, got {self.class_weight}")
        weighted: Float = weight * factors[index]
        return weighted

    def decision_function(self, X: ArrayLike) -> Float:
        """Return the outputs of the network.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Inputs, of the kind that `fit` takes.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes)
            Positive favours ``classes_[1]`` for two classes; else one column a class.
        """
        scores = self._outputs(X)
        # Two outputs of the softmax loss count by their difference.
        return scores[:, 1] - scores[:, 0] if len(self.classes_) == scores.ndim == 2 else scores

    def predict(self, X: ArrayLike) -> NDArray[np.generic]:
        """Return the predicted labels.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Inputs, of the kind that `fit` takes.

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        scores = self.decision_function(X)
        chosen = (scores > 0).astype(np.intp) if scores.ndim == 1 else scores.argmax(axis=1)
        labels: NDArray[np.generic] = self.classes_[chosen]
        return labels

    def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Return the accuracy of the predictions.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Inputs, of the kind that `fit` takes.
        y : array-like of shape (n_samples,)
            Labels.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights; None is one.

        Returns
        -------
        float
        """
        found = self.predict(X)
        weight = check_raw_weight(sample_weight, len(found))
        with named("y"):
            return float(accuracy_score(y, found, sample_weight=weight))

    @available_if(lambda self: self.loss in ("logistic", "softmax"))  # type: ignore[untyped-decorator]
    def predict_proba(self, X: ArrayLike) -> Float:
        """Return the probabilities of the classes; for the logistic and the softmax loss only.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Inputs, of the kind that `fit` takes.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            For the logistic loss and more than two classes the one-against-rest probabilities,
            scaled to sum one.
        """
        scores = self._outputs(X)
        if self.loss == "softmax":
            probabilities: Float = softmax(scores, axis=1)
            return probabilities
        if scores.ndim == 1:
            return np.column_stack([expit(-scores), expit(scores)])
        odds: Float = expit(scores)
        total = odds.sum(axis=1, keepdims=True)
        uniform = np.full_like(odds, 1.0 / odds.shape[1])
        shares: Float = np.divide(odds, total, out=uniform, where=total > 0)
        return shares

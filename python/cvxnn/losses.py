"""Losses of the training problem."""

from dataclasses import dataclass

from cvxnn._validation import check_positive


@dataclass(frozen=True)
class Loss:
    """A loss by name; see `resolve_loss`."""

    name: str
    labels: bool  # targets are -1 and +1
    delta: float = 1.0
    shares: bool = False  # rows of targets are shares of classes


@dataclass(frozen=True)
class Huber:
    """The Huber loss: ``t**2 / 2`` for ``|t| <= delta``, ``delta * (|t| - delta / 2)`` beyond.

    Parameters
    ----------
    delta : float, default=1.0
        Residual, in units of y, at which the loss turns from quadratic to linear.

    References
    ----------
    P. J. Huber (1964), Robust estimation of a location parameter.

    Examples
    --------
    >>> import cvxnn
    >>> cvxnn.Huber(delta=0.5)
    Huber(delta=0.5)
    """

    delta: float = 1.0

    def __post_init__(self) -> None:
        check_positive(self.delta, "delta")


_LOSSES = {
    "squared": Loss("squared", labels=False),
    "huber": Loss("huber", labels=False),
    "logistic": Loss("logistic", labels=True),
    "squared_hinge": Loss("squared_hinge", labels=True),
    "hinge": Loss("hinge", labels=True),
    "softmax": Loss("softmax", labels=False, shares=True),
}


def resolve_loss(loss: str | Huber) -> Loss:
    """Return the loss of a name or of a `Huber` object."""
    if isinstance(loss, Huber):
        return Loss("huber", labels=False, delta=float(loss.delta))
    try:
        return _LOSSES[loss]
    except (KeyError, TypeError):
        raise ValueError(
            f"loss must be one of {sorted(_LOSSES)} or a cvxnn.Huber, got {loss!r}"
        ) from None

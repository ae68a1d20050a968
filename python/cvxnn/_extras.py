"""Packages that only some users have."""

import importlib
from typing import Any


def import_extra(name: str) -> Any:
    """Return a package that the extra of its name installs."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:  # the package is there, and broken: its own message says more
            raise
        raise ImportError(
            f"{name} is not installed: python -m pip install 'cvxnn[{name}]'", name=name
        ) from error

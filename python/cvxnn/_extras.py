"""Packages that only some users have."""

import importlib
from typing import Any


def import_extra(name: str, extra: str | None = None) -> Any:
    """Return a module that an extra installs; the extra has the module's name if not given."""
    package = name.partition(".")[0]
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name not in (name, package):  # it is there, and broken: its own message says more
            raise
        raise ImportError(
            f"{package} is not installed: python -m pip install 'cvxnn[{extra or package}]'",
            name=package,
        ) from error

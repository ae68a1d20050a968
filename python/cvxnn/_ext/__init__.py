"""Chooses the compiled core for this CPU: the best level it supports, or the one that is forced.

The environment variable ``CVXNN_CORE`` (``base``, ``v3``, ``v4``) forces a level.
"""

import importlib
import os
from types import ModuleType

from cvxnn._ext import _cpu

# Best first; the x86-64 level that each needs. Level 0 is any other processor.
_LEVELS = {"v4": 4, "v3": 3, "base": 2}


def _cpu_name() -> str:
    level = _cpu.level()
    return f"x86-64-v{level}" if level else "not x86-64"


def _runs_here(name: str) -> bool:
    level = _cpu.level()
    return name == "base" if level == 0 else level >= _LEVELS[name]


def _load(name: str) -> ModuleType | None:
    """Load a core, or return None where this build does not have it."""
    full_name = f"cvxnn._ext._core_{name}"
    try:
        return importlib.import_module(full_name)
    except ModuleNotFoundError as error:
        if error.name == full_name:
            return None
        raise


def _choose() -> tuple[ModuleType, str]:
    forced = os.environ.get("CVXNN_CORE")
    if forced:
        if forced not in _LEVELS:
            raise ImportError(f"CVXNN_CORE must be one of {sorted(_LEVELS)}, got {forced!r}")
        if not _runs_here(forced):
            raise ImportError(
                f"CVXNN_CORE={forced} needs x86-64-v{_LEVELS[forced]}, this CPU is {_cpu_name()}"
            )
        module = _load(forced)
        if module is None:
            raise ImportError(f"CVXNN_CORE={forced}: this build of cvxnn has no such core")
        return module, forced
    for name in _LEVELS:
        if _runs_here(name) and (module := _load(name)) is not None:
            return module, name
    raise ImportError(
        f"no core of this build runs on this CPU ({_cpu_name()}; x86-64-v2 is the least): "
        "build from source with -Ccmake.define.CVXNN_NATIVE=ON"
    )


core, core_name = _choose()

__all__ = ["core", "core_name"]

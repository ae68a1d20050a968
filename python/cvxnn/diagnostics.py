"""What a report of a problem should contain."""

import importlib.metadata
import platform
import sys

from cvxnn._ext import _cpu, core, core_name


def versions() -> dict[str, str]:
    """Return the versions and the compiled core in use, by name."""
    import cvxnn

    rows = {
        "cvxnn": cvxnn.__version__,
        "core": core_name,
        "core file": str(core.__file__),
        "cpu level": str(_cpu.level()),
        "simd": core.simd_instruction_sets(),
        "eigen": core.eigen_version(),
        "openmp": str(core.openmp_version()),
        "threads": str(core.max_threads()),
        "python": sys.version.split()[0],
        "platform": platform.platform(),
    }
    for package in ("numpy", "scikit-learn"):
        rows[package] = importlib.metadata.version(package)
    return rows


def show_versions() -> None:
    """Print the versions and the compiled core in use.

    Examples
    --------
    >>> import cvxnn
    >>> cvxnn.show_versions()  # doctest: +ELLIPSIS
    cvxnn ...
    """
    for name, value in versions().items():
        print(f"{name:<14} {value}")

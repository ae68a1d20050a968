"""What ``n_threads`` means."""

import contextlib
import functools
import math
import os
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cvxnn._ext import core
from cvxnn._validation import check_count

_QUOTA = Path("/sys/fs/cgroup/cpu.max")  # "max 100000" or "150000 100000": quota and period
_blas = threading.Lock()


@functools.cache
def _cpu_count() -> int:
    """CPUs this process may use: affinity and, in a container, its quota."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    cpus = available or 1
    try:
        quota, period = _QUOTA.read_text().split()
        return max(1, min(cpus, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):  # no control group, or no limit
        return cpus


def effective_threads(n_threads: int | None) -> int:
    """Return the number of threads to use.

    None is OpenMP's own answer at this moment, so ``OMP_NUM_THREADS`` and ``threadpoolctl`` limits
    hold, capped by the CPUs of the process unless ``OMP_NUM_THREADS`` is set. A positive number is
    itself, a negative one counts from the end as in joblib.
    """
    if core.in_forked_child():
        _warn_forked()
        return 1
    available: int = core.max_threads()
    if "OMP_NUM_THREADS" not in os.environ:
        available = min(available, _cpu_count())
    if n_threads is None:
        return max(1, available)
    n_threads = check_count(n_threads, "n_threads", least=-(2**31))
    if n_threads == 0:
        raise ValueError("n_threads must be None or a non-zero integer, got 0")
    return n_threads if n_threads > 0 else max(1, available + 1 + n_threads)


@functools.cache
def _warn_forked() -> None:
    warnings.warn(
        "this process was forked from one that had used threads: cvxnn runs on one thread here. "
        "Start workers with 'spawn', 'forkserver' or joblib's loky for more.",
        RuntimeWarning,
        stacklevel=4,
    )


@contextlib.contextmanager
def blas_threads(n_threads: int) -> Iterator[None]:
    """Run numpy's linear algebra on so many threads; its sums depend on their number.

    The limit holds for the process: those who ask for it at the same time take turns, or the last
    to leave would restore the limit of another.
    """
    with _blas, _linear_algebra().limit(limits=n_threads, user_api="blas"):
        yield


@functools.cache
def _linear_algebra() -> Any:
    """Return what sets the threads of numpy's library, which is found once: it takes a while."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()

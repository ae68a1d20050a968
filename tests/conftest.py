"""Fixtures that the whole suite shares."""

import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import dataclass

import numpy as np
import pytest

# Workers share cores, where threads that wait by spinning hold up those that have work. Read when
# libgomp is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("MPLBACKEND", "Agg")  # pictures without a display

import cvxnn


@dataclass(frozen=True)
class Problem:
    """Data and patterns of a small training problem."""

    X: np.ndarray
    y: np.ndarray
    gates: np.ndarray
    patterns: cvxnn.PatternSet

    def alpha(self, ratio, **options):
        """Return a multiple of alpha_max."""
        return ratio * cvxnn.alpha_max(self.X, self.y, self.patterns, **options)


@pytest.fixture(scope="session")
def make_problem():
    """Return a function that makes a problem; with ``labels`` the targets are -1 and +1."""

    def make(
        n_samples=60, n_features=5, n_gates=80, *, labels=False, dtype=np.float64, seed=0, noise=0.1
    ):
        rng = np.random.default_rng(seed)
        X = rng.standard_normal((n_samples, n_features)).astype(dtype)
        clean = np.abs(X[:, 0].astype(np.float64)) - X[:, -1]
        y = clean - clean.mean() + noise * rng.standard_normal(n_samples)
        gates = cvxnn.sample_gates(n_features, n_gates, random_state=seed)
        if labels:
            y = np.where(y > 0, 1.0, -1.0)
        return Problem(X, y, gates, cvxnn.activation_patterns(X, gates))

    return make


@pytest.fixture(scope="session")
def problem(make_problem):
    """Return one small regression problem."""
    return make_problem()


@pytest.fixture(scope="session")
def run_python():
    """Return a function that runs code in a fresh interpreter and returns what it printed.

    With ``check=False`` it returns the finished process instead, whatever its exit code. A value
    of None in ``env`` removes a variable.
    """

    def run(code, *, env=None, timeout=120, check=True):
        merged = {**os.environ, **(env or {})}
        command = [sys.executable, "-c", textwrap.dedent(code)]
        with subprocess.Popen(
            command,
            env={key: value for key, value in merged.items() if value is not None},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                out, err = process.communicate(timeout=timeout)
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)  # its children hold the pipes too
                raise
        if not check:
            return subprocess.CompletedProcess(command, process.returncode, out, err)
        assert process.returncode == 0, err
        return out

    return run


@pytest.fixture
def no_module(monkeypatch):
    """Return a function that makes a package look as if it were not installed."""
    return lambda name: monkeypatch.setitem(sys.modules, name, None)

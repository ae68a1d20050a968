"""What importing cvxnn does, and what it leaves alone."""

import importlib.metadata
import re
from pathlib import Path

import pytest

import cvxnn

LOADED = """
    import sys
    {code}
    print(*sorted({{name.partition(".")[0] for name in sys.modules}}))
"""
HEAVY = {
    *("sklearn", "matplotlib", "scipy", "pandas", "joblib", "hypothesis", "cvxpy"),
    *("torch", "onnx", "onnxruntime"),
}


def loaded(run_python, code):
    return set(run_python(LOADED.format(code=code)).split())


def test_import_is_light(run_python):
    modules = loaded(run_python, "import cvxnn")
    assert {"cvxnn", "numpy"} <= modules
    assert not modules & HEAVY


@pytest.mark.parametrize(
    "name", ["ReLURegressor", "ReLUClassifier", "ReLURegressorCV", "ReLUClassifierCV"]
)
def test_estimators_load_scikit_learn(run_python, name):
    modules = loaded(run_python, f"import cvxnn; cvxnn.{name}")
    assert "sklearn" in modules
    assert "matplotlib" not in modules


def test_functions_work_without_scikit_learn(run_python):
    code = """
        import sys
        sys.modules["sklearn"] = None
        import cvxnn
        result = cvxnn.solve_group_lasso([[1.0], [-1.0]], [1.0, -1.0], 1, alpha=0.1)
        print(result.status)
        try:
            cvxnn.ReLURegressor
        except ImportError as error:
            print(error.name.partition(".")[0])
    """
    assert run_python(code).split() == ["optimal", "sklearn"]


def test_no_side_effects(run_python):
    code = """
        import logging, os, signal, sys, threading, warnings
        import numpy as np

        def state():
            return [
                dict(os.environ),
                logging.root.handlers[:], logging.root.level,
                logging.getLogger("cvxnn").handlers[:], logging.getLogger("cvxnn").level,
                np.geterr(), np.get_printoptions(),
                warnings.filters[:],
                [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)],
                sys.excepthook, threading.active_count(),
                np.random.get_state()[1].tolist(),
                np.float64(5e-324) * 1.0, np.float32(1e-45) * np.float32(1.0),  # no flush to zero
            ]

        before = state()
        import cvxnn
        assert state() == before
        patterns = cvxnn.activation_patterns(np.eye(3), np.eye(3), n_threads=2)
        cvxnn.solve(np.eye(3), np.ones(3), patterns, alpha=0.01)
        assert state() == before
        print("same")
    """
    # With OMP_NUM_THREADS set, counting the CPUs of the process is not needed either.
    assert run_python(code, env={"OMP_NUM_THREADS": "2"}) == "same\n"


def test_import_prints_and_warns_nothing(run_python):
    done = run_python("import warnings; warnings.simplefilter('error'); import cvxnn", check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("name", cvxnn.__all__)
def test_public_name(name):
    assert name in dir(cvxnn)
    value = getattr(cvxnn, name)
    assert callable(value)
    assert value.__name__ == name
    assert value.__module__.startswith("cvxnn.")


def test_all_is_sorted_and_complete():
    assert sorted(cvxnn.__all__) == cvxnn.__all__
    assert len(set(cvxnn.__all__)) == len(cvxnn.__all__)
    public = {
        name
        for name in dir(cvxnn)
        if not name.startswith("_")
        and getattr(getattr(cvxnn, name), "__module__", "typing").startswith("cvxnn")
    }
    assert public == set(cvxnn.__all__)


def test_star_import(run_python):
    code = "from cvxnn import *; print(ReLURegressor.__name__, solve.__name__)"
    assert run_python(code) == "ReLURegressor solve\n"


def test_unknown_name():
    with pytest.raises(AttributeError, match="module 'cvxnn' has no attribute 'solv'"):
        _ = cvxnn.solv


def test_version():
    assert re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc|\.dev)\d+)?", cvxnn.__version__)
    try:
        installed = importlib.metadata.version("cvxnn")
    except importlib.metadata.PackageNotFoundError:
        installed = cvxnn.__version__  # run from the source tree
    assert installed == cvxnn.__version__


def test_package_is_typed():
    assert (Path(cvxnn.__file__).parent / "py.typed").is_file()


def test_show_versions(capsys):
    cvxnn.show_versions()
    out = capsys.readouterr().out
    assert f"cvxnn          {cvxnn.__version__}\n" in out
    for name in ("core", "cpu level", "simd", "eigen", "openmp", "python", "numpy", "scikit-learn"):
        assert re.search(rf"^{name} +\S+", out, re.MULTILINE)

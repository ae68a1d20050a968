"""The compiled cores: which one is chosen, and that each solves the same problem."""

import importlib.util
import json

import pytest

from cvxnn._ext import _cpu

LEVELS = {"base": 2, "v3": 3, "v4": 4}

SOLVE = """
    import json
    import numpy as np, cvxnn
    from cvxnn._ext import core_name

    X = np.random.default_rng(0).standard_normal((300, 7))
    y = np.abs(X[:, 0]) - X[:, 1] * (X[:, 2] > 0)
    patterns = cvxnn.activation_patterns(X, cvxnn.sample_gates(7, 200, random_state=0))
    answer = {"core": core_name, "patterns": patterns.words.tolist()}
    for dtype in (np.float32, np.float64):
        for loss, target in (("squared", y), ("logistic", np.where(y > 0, 1.0, -1.0))):
            data = X.astype(dtype)
            words = cvxnn.activation_patterns(data, patterns.gates)
            alpha = 0.1 * cvxnn.alpha_max(data, target, words, loss=loss)
            result = cvxnn.solve(data, target, words, alpha=alpha, loss=loss, tol=1e-9)
            answer[f"{loss} {dtype.__name__}"] = [result.status, result.gap_rel, result.primal]
    print(json.dumps(answer))
"""

# Imports the loader on a pretended CPU, without some of the cores.
PRETEND = """
    import sys, types
    cpu = types.ModuleType("cvxnn._ext._cpu")
    cpu.level = lambda: {level}
    sys.modules["cvxnn._ext._cpu"] = cpu
    for name in {missing}:
        sys.modules["cvxnn._ext._core_" + name] = None
    from cvxnn._ext import core_name
    print(core_name)
"""


@pytest.fixture(scope="module")
def answers(run_python):
    """Return the answers of a core, each computed once."""
    known = {}

    def answer(name):
        if name not in known:
            known[name] = json.loads(run_python(SOLVE, env={"CVXNN_CORE": name}))
        return known[name]

    return answer


def has_core(name):
    return importlib.util.find_spec(f"cvxnn._ext._core_{name}") is not None


def require_core(name):
    """Skip where the CPU cannot run a core, or a developer built the base core alone."""
    if _cpu.level() < LEVELS[name]:
        pytest.skip(f"this CPU does not run x86-64-v{LEVELS[name]} code")
    if name != "base" and not (has_core("v3") or has_core("v4")):
        pytest.skip("built with one core only (CVXNN_MULTI_ISA=OFF or CVXNN_NATIVE=ON)")
    assert has_core(name)


@pytest.mark.skipif(_cpu.level() == 0, reason="cores by level exist on x86-64 only")
@pytest.mark.parametrize("name", LEVELS)
def test_forced_core_solves(answers, name):
    require_core(name)
    answer = dict(answers(name))
    reference = dict(answers("base"))
    assert answer.pop("core") == name
    reference.pop("core")
    assert answer.pop("patterns") == reference.pop("patterns")  # the same bits on any CPU
    for case, (status, gap_rel, primal) in answer.items():
        assert status == "optimal", case
        assert gap_rel <= 1e-9, case
        assert primal == pytest.approx(reference[case][2], rel=1e-12), case
    assert len(answer) == 4


@pytest.mark.parametrize("value", ["v5", "avx2", "BASE", "v3 ", "../base"])
def test_unknown_core(run_python, value):
    done = run_python("import cvxnn", env={"CVXNN_CORE": value}, check=False)
    assert done.returncode == 1
    wanted = f"ImportError: CVXNN_CORE must be one of ['base', 'v3', 'v4'], got {value!r}"
    assert done.stderr.strip().endswith(wanted)


def test_empty_choice_is_no_choice(run_python):
    code = "from cvxnn._ext import core_name; print(core_name)"
    free = run_python(code, env={"CVXNN_CORE": None})
    assert run_python(code, env={"CVXNN_CORE": ""}) == free


@pytest.mark.skipif(_cpu.level() == 0, reason="cores by level exist on x86-64 only")
@pytest.mark.parametrize(
    ("level", "missing", "wanted"),
    [
        (2, [], "base"),
        (3, ["v4"], "v3"),
        (3, ["v3", "v4"], "base"),
        (4, ["v3", "v4"], "base"),
        (4, ["v4"], "v3"),
        (4, [], "v4"),
        (0, [], "base"),
    ],
)
def test_best_core_of_a_cpu(run_python, level, missing, wanted):
    require_core(wanted)
    code = PRETEND.format(level=level, missing=missing)
    assert run_python(code, env={"CVXNN_CORE": None}).strip() == wanted


@pytest.mark.parametrize(
    ("level", "missing", "forced", "message"),
    [
        (2, [], "v3", "CVXNN_CORE=v3 needs x86-64-v3, this CPU is x86-64-v2"),
        (3, [], "v4", "CVXNN_CORE=v4 needs x86-64-v4, this CPU is x86-64-v3"),
        (0, [], "v3", "CVXNN_CORE=v3 needs x86-64-v3, this CPU is not x86-64"),
        (4, ["v4"], "v4", "CVXNN_CORE=v4: this build of cvxnn has no such core"),
        (1, [], None, "no core of this build runs on this CPU (x86-64-v1; x86-64-v2 is the least)"),
        (4, ["base", "v3", "v4"], None, "no core of this build runs on this CPU (x86-64-v4"),
    ],
)
def test_no_core(run_python, level, missing, forced, message):
    code = PRETEND.format(level=level, missing=missing)
    done = run_python(code, env={"CVXNN_CORE": forced}, check=False)
    assert done.returncode == 1
    assert f"ImportError: {message}" in done.stderr


def test_broken_core_is_not_hidden(run_python):
    # A core that fails to load for another reason must not make the loader fall back in silence.
    code = """
        import sys

        class Broken:
            def find_spec(self, name, path=None, target=None):
                if name.startswith("cvxnn._ext._core_"):
                    raise ImportError("libgomp is missing")

        sys.meta_path.insert(0, Broken())
        import cvxnn
    """
    done = run_python(code, env={"CVXNN_CORE": None}, check=False)
    assert done.returncode == 1
    assert "ImportError: libgomp is missing" in done.stderr

"""The order of the modules: imports and includes point to lower layers only."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "python" / "cvxnn"
CPP = ROOT / "cpp"

# Lowest layer first. A module imports from layers below its own only.
PYTHON_LAYERS = [
    ["_ext"],
    ["_validation", "_files", "_extras"],
    ["_threads", "_paths", "losses"],
    ["arrangements", "_layers", "_whitening", "_mixing", "_heads"],
    ["enumeration"],
    [
        "_fourier_cones",
        "_joint_patterns",
        "gate_samplers",
        "_torch",
        "_onnx",
        "_summary",
        "_patches",
    ],
    ["_conv_layers", "_token_layers"],
    ["_conv_torch", "_conv_onnx", "_token_torch", "_token_onnx"],
    ["network", "conv_network", "token_network"],
    ["results", "batch_norm"],
    ["_problem"],
    ["_column_generation", "_local_training"],
    ["_programs", "_designs", "_factors"],
    ["_shared_filters"],
    ["_adaptive", "_conversion", "convolution", "_fourier", "_normalised_outputs", "_token_design"],
    [
        "core",
        "certificates",
        "decomposition",
        "optimal_sets",
        "pruning",
        "three_layer",
        "circular",
        "group_lasso",
        "diagnostics",
    ],
    ["estimators._columns"],
    ["estimators._certified"],
    ["estimators._targets", "estimators._base", "estimators._tensors"],
    ["estimators._classifier", "estimators._regressor", "estimators._cross_validation"],
    ["estimators._convolution", "estimators._token_base"],
    ["estimators._conv_classifier", "estimators._conv_regressor", "estimators._tokens"],
    ["estimators._classifier_cv", "estimators._regressor_cv"],
    ["estimators._conv_classifier_cv", "estimators._conv_regressor_cv"],
    ["estimators"],
    ["plot._axes"],
    ["plot._networks", "plot._optimal_sets", "plot._solves"],
    ["plot"],
    [""],  # cvxnn/__init__.py
    ["demo", "cli._data", "cli._models", "cli._progress"],
    ["cli._commands"],
    ["cli._parser"],
    ["cli"],
    ["__main__"],
]
# Deferred to a call: the version of the package, and networks from other libraries.
PYTHON_EXCEPTIONS = {("diagnostics", ""), ("network", "_conversion")}

CPP_LAYERS = [
    ["types", "errors"],
    ["sparse_rows"],
    ["threads", "control", "aligned", "cost_model", "power_iteration", "cone_scaling"],
    ["symmetric_eigen", "conjugate_gradients"],
    ["block_norm", "loss_hessian"],
    ["cone_projection", "block_penalty"],
    ["patterns", "loss", "block_update", "unpenalised", "cholesky"],
    ["separable_loss", "softmax", "profiled_hessian"],
    ["make_loss"],
    ["predict", "conv_predict", "kernels/bit_product", "activation_cones", "enumeration"],
    ["cell_walk"],
    ["kernels/masked_product", "kernels/sample_gram", "kernels/sparse_product"],
    ["operators/operator"],
    ["operators/pattern_design"],
    ["operators/masked", "operators/sparse_masked", "operators/dense", "operators/signed"],
    ["operators/feature"],
    ["working_set", "pricing", "certificate", "spectra", "cone_peaks"],
    ["quadratic_model", "feature_spectrum"],
    ["kronecker", "line_search", "sample_system"],
    ["interior_system"],
    ["newton_system", "fista", "interior_point", "face_system", "dual_correction"],
    ["augmented_lagrangian"],
    ["newton"],
    ["bcd"],
    ["restricted"],
    ["solver"],
]

HEAVY = {"sklearn", "matplotlib", "pandas", "scipy", "joblib", "torch", "onnx"}
FOR_TORCH = {"_torch", "_conv_torch", "_token_torch"}
MAY_BE_HEAVY = {"demo", "cli", "estimators", "plot", *FOR_TORCH}


def ranks(layers):
    return {name: rank for rank, layer in enumerate(layers) for name in layer}


def module_name(path):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imported(path):
    """Yield (absolute module name, imported name or None, whether at module level)."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inner = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            inner.update(ast.walk(node))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, None, node not in inner
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            for alias in node.names:
                yield node.module, alias.name, node not in inner


def own_imports(path):
    """Return the other modules of cvxnn that a file imports, as names in MODULES."""
    found = set()
    for module, name, _ in imported(path):
        if module.split(".")[0] != "cvxnn":
            continue
        inside = module.partition(".")[2]
        longer = f"{inside}.{name}".lstrip(".")
        found.add(longer if name is not None and longer in MODULES else inside)
    return found - {module_name(path)}


def test_every_python_module_has_a_layer():
    layered = [name for layer in PYTHON_LAYERS for name in layer]
    assert sorted(layered) == sorted(MODULES)


@pytest.mark.parametrize("name", MODULES)
def test_python_imports_point_down(name):
    rank = ranks(PYTHON_LAYERS)
    upward = {
        other
        for other in own_imports(MODULES[name])
        if rank[other] >= rank[name] and (name, other) not in PYTHON_EXCEPTIONS
    }
    assert not upward


def test_exceptions_are_deferred_and_needed():
    for name, other in PYTHON_EXCEPTIONS:
        levels = [
            at_module_level
            for module, _, at_module_level in imported(MODULES[name])
            if module == f"cvxnn.{other}".rstrip(".")
        ]
        assert levels
        assert not any(levels)


@pytest.mark.parametrize("name", [n for n in MODULES if n.split(".")[0] not in MAY_BE_HEAVY])
def test_only_upper_layers_need_scikit_learn_or_matplotlib(name):
    for module, _, at_module_level in imported(MODULES[name]):
        top = module.split(".")[0]
        assert top not in {"sklearn", "matplotlib", "pandas"}, module
        assert not (top in HEAVY and at_module_level), module


@pytest.mark.parametrize("name", [n for n in MODULES if n not in FOR_TORCH])
def test_torch_is_for_those_who_ask(name):
    for module, _, at_module_level in imported(MODULES[name]):
        assert not (module.removeprefix("cvxnn.") in FOR_TORCH and at_module_level)


@pytest.mark.parametrize("name", [n for n in MODULES if n.startswith("estimators")])
def test_estimators_do_not_draw(name):
    assert not {m.split(".")[0] for m, *_ in imported(MODULES[name])} & {"matplotlib", "pandas"}


def test_only_the_loader_names_a_compiled_core():
    naming = {name for name, path in MODULES.items() if "_core_" in path.read_text("utf-8")}
    assert naming == {"_ext"}


HEADER = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', re.MULTILINE)


def includes(path):
    return HEADER.findall(path.read_text(encoding="utf-8"))


def unit(path):
    """Return the unit of a header or source of the library: operators/masked, solver."""
    for base in (CPP / "include" / "cvxnn", CPP / "src"):
        if path.is_relative_to(base):
            return path.relative_to(base).with_suffix("").as_posix()
    return None


LIBRARY = [path for path in sorted(CPP.rglob("*.[ch]pp")) if unit(path) is not None]


def identify(path):
    return path.relative_to(CPP).as_posix()


def test_every_cpp_unit_has_a_layer():
    assert {unit(path) for path in LIBRARY} == set(ranks(CPP_LAYERS))
    headers = {unit(path) for path in LIBRARY if path.suffix == ".hpp"}
    assert headers == set(ranks(CPP_LAYERS))


@pytest.mark.parametrize("path", LIBRARY, ids=identify)
def test_cpp_includes_point_down(path):
    rank, own = ranks(CPP_LAYERS), unit(path)
    used = {h.removeprefix("cvxnn/").removesuffix(".hpp") for h in includes(path) if "cvxnn/" in h}
    if path.suffix == ".cpp":
        assert own in used
        used.discard(own)
    assert not {other for other in used if rank[other] >= rank[own]}


@pytest.mark.parametrize("path", LIBRARY, ids=identify)
def test_library_knows_no_python(path):
    text = path.read_text(encoding="utf-8")
    assert "pybind11" not in text
    assert "Python.h" not in text
    assert not {header for header in includes(path) if "bindings" in header}

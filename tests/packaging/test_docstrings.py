"""Docstrings: their examples run, and the public ones are complete."""

import dataclasses
import doctest
import importlib.util
import inspect
import pkgutil
import re

import pytest

import cvxnn

MODULES = [
    "cvxnn",
    *sorted(
        info.name
        for info in pkgutil.walk_packages(cvxnn.__path__, "cvxnn.")
        if not info.name.startswith("cvxnn._ext._")
        and info.name != "cvxnn.__main__"
        and ("torch" not in info.name or importlib.util.find_spec("torch"))
    ),
]
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
FUNCTIONS = [name for name in cvxnn.__all__ if inspect.isfunction(getattr(cvxnn, name))]
PICTURES = [f"plot.{name}" for name in cvxnn.plot.__all__]
# What the library returns or passes on: nobody else makes one.
RECORDS = [
    "BatchNormNetwork",
    "BatchNormOptimum",
    "Certificate",
    "CircularResult",
    "Decomposition",
    "GroupLassoResult",
    "IterationInfo",
    "OptimalSet",
    "PathResult",
    "PatternSet",
    "SolveResult",
    "ThreeLayerResult",
]
CLASSES = [
    "ConvNetwork",
    "ConvReLUClassifier",
    "ConvReLUClassifierCV",
    "ConvReLURegressor",
    "ConvReLURegressorCV",
    "ConvexFNO",
    "ConvexMLPMixer",
    "ConvexSelfAttention",
    "Huber",
    "Network",
    "ReLUClassifier",
    "ReLUClassifierCV",
    "ReLURegressor",
    "ReLURegressorCV",
    "TokenNetwork",
]
METHODS = [
    f"{owner}.{name}"
    for owner in [*RECORDS, *CLASSES]
    for name, value in inspect.getmembers(getattr(cvxnn, owner), inspect.isroutine)
    if not name.startswith("_") and value.__module__.startswith("cvxnn")
]


def find(path):
    """Return a public function, class or method by its dotted name."""
    value = cvxnn
    for name in path.split("."):
        value = getattr(value, name)
    return value


def sections(docstring):
    """Return the text of each section by its title; the part before them is the summary."""
    parts = re.split(r"^(\w[\w ]*)\n-{3,}$", inspect.cleandoc(docstring or ""), flags=re.MULTILINE)
    return {"Summary": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


def entries(text):
    """Return the names that a Parameters or Attributes section explains."""
    heads = re.findall(r"^\**(\w[\w, \\\n]*?)(?: :.*)?$", text, flags=re.MULTILINE)
    return {name for head in heads for name in re.findall(r"\w+", head)}


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    failed, _ = doctest.testmod(importlib.import_module(name), optionflags=FLAGS)
    assert failed == 0


def test_examples_are_found():
    finder = doctest.DocTestFinder()
    found = [test for name in MODULES for test in finder.find(importlib.import_module(name))]
    assert sum(bool(test.examples) for test in found) >= 10


def test_every_public_name_is_covered():
    assert sorted([*FUNCTIONS, *RECORDS, *CLASSES, "ConvergenceWarning"]) == cvxnn.__all__


@pytest.mark.parametrize("path", [*cvxnn.__all__, *PICTURES, *METHODS])
def test_summary(path):
    summary = sections(find(path).__doc__)["Summary"]
    first = summary.splitlines()[0]
    assert first[0].isupper()
    assert first.endswith(".")


@pytest.mark.parametrize("path", [*FUNCTIONS, *PICTURES, *METHODS])
def test_functions_and_methods(path):
    function = find(path)
    signature = inspect.signature(function)
    parameters = set(signature.parameters) - {"self"}
    found = sections(function.__doc__)
    assert parameters <= entries(found.get("Parameters", ""))
    if signature.return_annotation not in (None, "None"):
        assert ("Returns" in found) or not parameters


@pytest.mark.parametrize("name", [*FUNCTIONS, *PICTURES, *CLASSES])
def test_examples_of_what_users_call(name):
    assert ">>> " in sections(find(name).__doc__)["Examples"]


@pytest.mark.parametrize("name", CLASSES)
def test_classes(name):
    value = find(name)
    parameters = set(inspect.signature(value).parameters)
    assert parameters == entries(sections(value.__doc__)["Parameters"])


@pytest.mark.parametrize("name", RECORDS)
def test_records(name):
    value = find(name)
    explained = set()
    for owner in value.__mro__:
        explained |= entries(sections(owner.__doc__).get("Attributes", ""))
    assert {field.name for field in dataclasses.fields(value)} <= explained


@pytest.mark.parametrize("name", MODULES)
def test_modules_say_what_they_are(name):
    assert importlib.import_module(name).__doc__

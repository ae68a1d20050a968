"""The code in documents and examples runs, and their links lead somewhere."""

import json
import re
import runpy
from pathlib import Path

import pytest

import cvxnn

ROOT = Path(__file__).parents[2]
PROJECT = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
DOCUMENTS = [*PROJECT, *PAGES]
THEORY = [path for path in DOCUMENTS if path.parent.name == "theory" and path.name != "index.md"]
WITHOUT_CODE = {
    *("guarantees.md", "performance.md", "index.md", "coming_from.md"),
    "SECURITY.md",
    # The site shows documents from elsewhere in their place.
    *("accuracy.md", "benchmarks.md", "changelog.md", "contributing.md", "security.md"),
}
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def python_blocks(text):
    return re.findall(r"^```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_code_in_documents_runs(document, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = python_blocks(document.read_text())
    assert blocks or document.name in WITHOUT_CODE
    names = {}
    for block in blocks:
        exec(compile(block, str(document), "exec"), names)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_example_runs(example, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(example), run_name="__main__")
    assert "gap" in capsys.readouterr().out


def test_by_hand_bound_of_the_example_agrees(capsys):
    runpy.run_path(str(ROOT / "examples" / "certified_classifier.py"), run_name="__main__")
    printed = capsys.readouterr().out
    assert 0 <= float(re.search(r"relative gap: (\S+)", printed)[1]) < 1e-7


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document):
    links = re.findall(r"\]\(([^)#]+)\)", document.read_text())
    missing = [
        link for link in links if "://" not in link and not (document.parent / link).exists()
    ]
    assert missing == []


def named_files(text):
    """Return the files that a document names, each with the test that it names there, if any."""
    spans = re.findall(r"`([\w/]+\.(?:hpp|cpp|py))(?:::([^`]+))?`", text)
    return [
        (next((f for f in (ROOT / n, ROOT / "cpp/include/cvxnn" / n) if f.exists()), n), test)
        for n, test in spans
    ]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_documents_name_what_exists(document):
    for file, test in named_files(document.read_text()):
        assert isinstance(file, Path), f"{file} does not exist"
        heads = (f"def {test}(", f'TEST_CASE("{test}"', f'TEST_CASE_TEMPLATE("{test}"')
        assert not test or any(head in file.read_text() for head in heads), f"{file}: {test}"


@pytest.mark.parametrize("page", THEORY, ids=lambda path: path.name)
def test_theory_names_sources_and_tests(page):
    text = page.read_text()
    assert [file for file, test in named_files(text) if not test], "no source"
    assert [file for file, test in named_files(text) if test], "no test"
    assert f"]({page.name})" in (page.parent / "index.md").read_text(), "not in the index"


def test_api_reference_lists_every_public_name():
    listed = re.findall(r"^   ([\w.]+)$", (ROOT / "docs/api.rst").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted([*cvxnn.__all__, *(f"plot.{n}" for n in cvxnn.plot.__all__)])


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_example_has_a_title_for_the_gallery(example):
    title, underline = example.read_text().removeprefix('"""').splitlines()[:2]
    assert underline == "=" * len(title)


@pytest.mark.parametrize("document", PROJECT, ids=lambda path: path.name)
def test_documents_name_paths_that_exist(document):
    paths = re.findall(r"`(\.?\w[\w.-]*/[\w./-]*)`", document.read_text())
    made = ("build/", "cvxnn_demo/")  # by the commands beside them
    missing = [
        path
        for path in paths
        if not path.startswith(made)
        and not any((ROOT / base / path).exists() for base in (".", "cpp/include/cvxnn"))
    ]
    assert missing == []


class TestContributing:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    commands = "".join(re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL))

    def test_programs_are_those_of_the_checks(self):
        checks = (ROOT / ".ci/run").read_text()
        programs = re.findall(r"^(?:python -m )?([\w-]+)|xargs -0 ([\w-]+)", self.commands, re.M)
        names = {name for pair in programs for name in pair if name}
        assert {"pytest", "cmake", "ctest", "ruff", "mypy", "clang-format", "sphinx"} <= names
        assert [name for name in sorted(names) if not re.search(rf"\b{name}\b", checks)] == []

    def test_presets_exist(self):
        presets = json.loads((ROOT / "CMakePresets.json").read_text())
        kinds = {
            "cmake": "configurePresets",
            "cmake --build": "buildPresets",
            "ctest": "testPresets",
        }
        used = re.findall(r"^(cmake --build|cmake|ctest) --preset (\w+)", self.commands, re.M)
        assert {command for command, _ in used} == set(kinds)
        for command, name in used:
            assert name in {preset["name"] for preset in presets[kinds[command]]}
        assert "`asan`" in self.text
        assert {"asan"} <= {preset["name"] for preset in presets["testPresets"]}

    def test_extras_and_options_exist(self):
        project = (ROOT / "pyproject.toml").read_text()
        (extras,) = re.findall(r'"\.\[([\w,]+)\]"', self.commands)
        for extra in extras.split(","):
            assert re.search(rf"^{extra} = \[", project, re.MULTILINE)
        for option in re.findall(r"\bCVXNN_\w+", self.text):
            assert f"option({option} " in (ROOT / "CMakeLists.txt").read_text()

    @pytest.mark.parametrize("thing", ["A loss", "A norm of blocks", "An operator"])
    def test_names_are_in_the_files_beside_them(self, thing):
        (passage,) = re.findall(
            rf"^\*\*{thing}\*\*(.*?)(?=^\*\*|^All of them)", self.text, re.MULTILINE | re.DOTALL
        )
        sources = "".join(
            file.read_text() for file, _ in named_files(passage) if isinstance(file, Path)
        )
        names = re.findall(r"`(\w+)`", passage)
        assert names
        assert [name for name in names if name not in sources] == []

"""The code in documents and examples runs, and their links lead somewhere."""

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def python_blocks(text):
    return re.findall(r"^```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_code_in_documents_runs(document, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = python_blocks(document.read_text())
    assert blocks or document.name in ("guarantees.md", "performance.md", "theory.md")
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


def test_documents_name_existing_sources():
    text = (ROOT / "docs" / "theory.md").read_text()
    for name in re.findall(r"`([\w/]+\.(?:hpp|py))`", text):
        assert (ROOT / name).exists() or (ROOT / "cpp" / "include" / "cvxnn" / name).exists(), name

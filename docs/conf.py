"""Configuration of the documentation site: ``python -m sphinx -W docs build/site``."""

import re
from pathlib import Path
from typing import Any

import cvxnn

DOCS = Path(__file__).parent
ROOT = DOCS.parent
# Pages of the site that show a document from another folder.
SHOWN = {
    "accuracy": ROOT / "bench" / "ACCURACY.md",
    "benchmarks": ROOT / "bench" / "RESULTS.md",
    "changelog": ROOT / "CHANGELOG.md",
    "contributing": ROOT / "CONTRIBUTING.md",
    "security": ROOT / "SECURITY.md",
}

project = "cvxnn"
author = "The cvxnn developers"
copyright = author
release = version = cvxnn.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]
# Formulas and terminal sessions are indented blocks of plain text.
highlight_language = "none"
default_role = "py:obj"

autodoc_default_options = {"members": True, "inherited-members": True}
# The docstrings give types in words; those of array-likes would fill a screen.
autodoc_typehints = "none"
numpydoc_show_class_members = False

sphinx_gallery_conf = {
    "examples_dirs": str(ROOT / "examples"),
    "gallery_dirs": "gallery",
    "filename_pattern": r"\.py$",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_memory": False,
    "min_reported_time": float("inf"),
    "write_computation_times": False,
}

html_theme = "pydata_sphinx_theme"
html_title = f"cvxnn {release}"
html_show_sourcelink = False
html_theme_options = {"show_prev_next": True, "secondary_sidebar_items": ["page-toc"]}


def skip_foreign(
    _app: Any, _what: str, _name: str, member: Any, _skip: bool, _options: Any
) -> bool | None:
    """Leave out what classes inherit from other libraries, which document it."""
    defined = getattr(member, "fget", member)
    owner = getattr(defined, "__objclass__", defined)
    return None if (getattr(owner, "__module__", None) or "cvxnn").startswith("cvxnn") else True


def link_within_site(text: str, folder: Path) -> str:
    """Point relative links, which are right in the repository, to the pages of the site."""
    pages = {document: f"/{page}.md" for page, document in SHOWN.items()}

    def link(found: re.Match[str]) -> str:
        target = (folder / found[1]).resolve()
        if target.is_relative_to(DOCS):
            return f"](/{target.relative_to(DOCS)}"
        return f"]({pages.get(target, found[1])}"

    return re.sub(r"\]\(([\w./-]+\.md)(?=[)#])", link, text)


def read_page(app: Any, docname: str, content: list[str]) -> None:
    """Give Sphinx the text of a page."""
    source = SHOWN.get(docname)
    if source is not None:
        content[0] = source.read_text()
        app.env.note_dependency(str(source), docname=docname)
    content[0] = link_within_site(content[0], (source or DOCS / docname).parent)


def setup(app: Any) -> None:
    """Register what this file adds to Sphinx."""
    app.connect("autodoc-skip-member", skip_foreign)
    app.connect("source-read", read_page)

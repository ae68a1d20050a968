"""Check an sdist and what was installed of its repaired wheel: sizes, modules, licences, parts."""

import importlib
import json
import platform
import sys
import tarfile
from importlib.metadata import PackagePath, files, metadata, version
from pathlib import Path

CORE_LIMIT = 3_000_000  # bytes of one compiled module
CORES = {"_core_base"}
if platform.machine() in ("x86_64", "AMD64"):
    CORES |= {"_core_v3", "_core_v4"}


def check_installed() -> None:
    """Check what the environment of this Python holds of cvxnn."""
    packed = files("cvxnn")
    assert packed, "cvxnn is not installed"
    names = [path.as_posix() for path in packed]
    modules = {path.name.split(".")[0]: path for path in packed if path.suffix == ".so"}
    assert set(modules) == {"_cpu"} | CORES, sorted(modules)
    for name, path in modules.items():
        assert path.size is not None, name
        assert path.size < CORE_LIMIT, f"{name} has {path.size} bytes"
    assert "cvxnn/py.typed" in names
    assert not [name for name in names if name.endswith((".cpp", ".hpp"))]
    check_parts(packed)
    check_openmp()
    total = sum(path.size or 0 for path in packed)
    print(f"installed: {total / 1e6:.2f} MB, {len(packed)} files")


def check_parts(packed: list[PackagePath]) -> None:
    """Check that what is compiled in is listed, each part with its version and licence."""
    licences = [path.name for path in packed if "licenses" in path.parts]
    assert {"LICENSE", "libgomp-GPL-3.0-with-GCC-exception.txt"} <= set(licences), licences
    sboms = {path.name: path for path in packed if path.parent.name == "sboms"}
    assert set(sboms) == {"auditwheel.cdx.json", "cvxnn.cdx.json"}, sorted(sboms)
    assert {path.parent.parent.suffix for path in sboms.values()} == {".dist-info"}, sboms
    bom = json.loads(sboms["cvxnn.cdx.json"].read_text())
    assert (bom["bomFormat"], bom["specVersion"]) == ("CycloneDX", "1.6")
    assert bom["metadata"]["component"]["version"] == version("cvxnn")
    parts = {part["name"]: part for part in bom["components"]}
    assert set(parts) == {"eigen", "pybind11"}, sorted(parts)
    for name, part in parts.items():
        assert part["version"][:1].isdigit(), part
        assert part["purl"].endswith(f"@{part['version']}"), part
        assert part["licenses"][0]["license"]["id"], part
        assert [text for text in licences if text.lower().startswith(name)], f"licence of {name}"
    grafted = json.loads(sboms["auditwheel.cdx.json"].read_text())["components"]
    (openmp,) = [part for part in grafted if part["name"] != "cvxnn"]
    assert openmp["name"].startswith("libgomp"), openmp
    assert openmp["version"][:1].isdigit(), openmp
    expression = "MIT AND BSD-3-Clause AND GPL-3.0-or-later WITH GCC-exception-3.1 AND MPL-2.0"
    assert metadata("cvxnn")["License-Expression"] == expression
    assert openmp["licenses"] == [{"expression": "GPL-3.0-or-later WITH GCC-exception-3.1"}], openmp


def check_openmp() -> None:
    """Check that the core runs on the OpenMP of the wheel, not on one of this machine."""
    importlib.import_module("cvxnn")
    maps = Path("/proc/self/maps").read_text().splitlines()
    loaded = {Path(line.split()[-1]) for line in maps if "libgomp" in line}
    assert [path.parent.name for path in loaded] == ["cvxnn.libs"], loaded


def check_sdist(sdist: Path) -> None:
    """Check that an sdist holds the sources and nothing that was built."""
    with tarfile.open(sdist) as archive:
        sources = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    for name in ("pyproject.toml", "CMakeLists.txt", "cpp/src/solver.cpp", "LICENSE", "README.md"):
        assert name in sources, f"{name} is not in {sdist.name}"
    assert not [name for name in sources if name.endswith(".so")]
    print(f"{sdist.name}: {len(sources)} files")


if __name__ == "__main__":
    (packed_sources,) = Path(sys.argv[1]).glob("*.tar.gz")
    check_sdist(packed_sources)
    check_installed()

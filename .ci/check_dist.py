"""Check what was packed, with one core: sizes, modules, licences, sources."""

import sys
import tarfile
import zipfile
from pathlib import Path

WHEEL_LIMIT = 2_000_000  # bytes


def main(folder: Path) -> None:
    """Check the one wheel and the one sdist of a folder."""
    (wheel,) = folder.glob("*.whl")
    (sdist,) = folder.glob("*.tar.gz")
    assert wheel.stat().st_size < WHEEL_LIMIT, f"{wheel.name} has {wheel.stat().st_size} bytes"
    with zipfile.ZipFile(wheel) as archive:
        packed = archive.namelist()
    modules = {Path(name).name.split(".")[0] for name in packed if name.endswith(".so")}
    assert modules == {"_cpu", "_core_base"}, modules
    assert "cvxnn/py.typed" in packed
    assert not [name for name in packed if name.endswith((".cpp", ".hpp"))]
    assert sum("licenses/" in name for name in packed) >= 4
    with tarfile.open(sdist) as archive:
        sources = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    for name in ("pyproject.toml", "CMakeLists.txt", "cpp/src/solver.cpp", "LICENSE", "README.md"):
        assert name in sources, f"{name} is not in {sdist.name}"
    assert not [name for name in sources if name.endswith(".so")]
    print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.2f} MB, {sdist.name}: {len(sources)} files")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

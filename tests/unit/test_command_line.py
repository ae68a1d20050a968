"""The command line: `demo` end to end, `info`, and what it says of a missing matplotlib."""

import re
import sys

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer

import cvxnn
from cvxnn import Network
from cvxnn.cli import main


def test_demo_trains_certifies_and_writes_what_it_says(tmp_path, capsys):
    folder = tmp_path / "out"
    assert main(["demo", "--output", str(folder)]) == 0
    printed = capsys.readouterr().out
    gaps = [float(g) for g in re.findall(r"relative duality gap (\S+)", printed)]
    assert len(gaps) == 2
    assert max(gaps) <= 1e-6
    for text in ("LogisticRegression", "MLPClassifier", "held out", "sampled patterns", "\r"):
        assert text in printed
    held_out = {
        name: [float(row[1]) for row in re.findall(rf"{name} +(\S+) +(\S+)", printed)]
        for name in ("ReLUClassifier", "LogisticRegression")
    }
    assert len(held_out["ReLUClassifier"]) == 2
    for own, peer in zip(*held_out.values(), strict=True):
        assert own > peer - 0.02
    assert (folder / "gap.png").read_bytes().startswith(b"\x89PNG")
    X, y = load_breast_cancer(return_X_y=True)
    network = Network.load(folder / "breast_cancer.npz")
    assert np.mean((network.predict(X) > 0) == y) > 0.95
    assert sorted(path.name for path in folder.iterdir()) == [
        "breast_cancer.npz",
        "digits.npz",
        "gap.png",
    ]


def test_demo_names_the_missing_extra(tmp_path, capsys, monkeypatch):
    for name in list(sys.modules):
        if name.split(".")[0] == "matplotlib" or name == "cvxnn.demo":
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr(cvxnn, "demo", raising=False)  # an imported submodule is an attribute too
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main(["demo", "--output", str(tmp_path / "out")]) == 1
    assert "cvxnn[demo]" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_info_prints_the_core_in_use(capsys):
    assert main(["info"]) == 0
    assert re.search(r"^core +(base|v3|v4)$", capsys.readouterr().out, re.MULTILINE)


def test_unknown_command_is_refused(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["train"])
    assert "invalid choice" in capsys.readouterr().err

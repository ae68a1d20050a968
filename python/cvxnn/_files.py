"""Files: written atomically, and the format of saved networks."""

import os
import secrets
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

_FORMAT = "cvxnn.network"
_FORMAT_VERSION = 1
_STORED = {
    *("format", "version", "activation", "coefs_0", "coefs_1", "intercepts_0", "intercepts_1"),
    *("penalty_weights", "gates", "gate_intercepts", "skip"),
    "metadata",  # of the command line: labels, names of features; a network needs none of it
}
# What numpy and zipfile raise on broken archives.
_UNREADABLE = (OSError, ValueError, EOFError, KeyError, RuntimeError, zipfile.BadZipFile)


def write_atomically(path: str | os.PathLike[str], write: Callable[[IO[bytes]], object]) -> None:
    """Let `write` fill a file that takes the place of `path` only when it is complete."""
    target = Path(path)
    part = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    try:
        with part.open("xb") as file:
            write(file)
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_network(path: str | os.PathLike[str], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write the arrays of a network, with the format and its version."""
    stored = {
        "format": np.array(_FORMAT),
        "version": np.array(_FORMAT_VERSION),
        **arrays,
    }
    # The keywords of savez are arrays here.
    write_atomically(path, lambda file: np.savez(file, **stored))  # type: ignore[arg-type]


def read_network(path: str | os.PathLike[str]) -> dict[str, NDArray[Any]]:
    """Return the arrays that `write_network` wrote; their shapes are not checked."""
    try:
        # Opened here: numpy forgets to close a file whose archive it cannot read.
        with Path(path).open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise ValueError("not an archive")
            with archive:
                arrays = {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise
    except _UNREADABLE as error:
        raise ValueError(f"{path} is not a readable cvxnn network: {error}") from None
    version = arrays.get("version", np.array(None))
    if str(arrays.get("format")) != _FORMAT or version.shape != () or version.dtype.kind != "i":
        raise ValueError(f"{path} is not a cvxnn network")
    if version > _FORMAT_VERSION:
        raise ValueError(
            f"{path} has format version {version}, this cvxnn reads up to {_FORMAT_VERSION}: "
            "upgrade cvxnn"
        )
    # Names are outside the archive's check sums, and some arrays are optional.
    if unknown := sorted(set(arrays) - _STORED):
        raise ValueError(f"{path} is a broken cvxnn network: unknown arrays {unknown}")
    return arrays

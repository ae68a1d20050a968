"""Files: written atomically, and the format of saved networks."""

import io
import math
import os
import secrets
import stat
import struct
import sys
import zipfile
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

_FORMAT_VERSION = 1
_END = struct.Struct("<4s6xH10x")  # of an archive: magic and number of members
# Arrays of a file by its format.
_STORED = {
    "cvxnn.network": {
        *("activation", "coefs_0", "coefs_1", "intercepts_0", "intercepts_1"),
        *("penalty_weights", "gates", "gate_intercepts", "skip"),
        "metadata",  # of the command line: labels, names of features; a network needs none of it
    },
    "cvxnn.conv_network": {
        *("activation", "filters", "biases", "head", "intercepts", "gates", "gate_biases"),
        *("stride", "padding", "circular", "pooling", "pooling_size"),
    },
    "cvxnn.token_network": {
        *("mixing", "activation", "coefs_0", "coefs_1", "intercept", "gates"),
        *("pool_tokens", "constant_channel"),
    },
}


def write_atomically(path: str | os.PathLike[str], write: Callable[[IO[bytes]], object]) -> None:
    """Let `write` fill a file that takes the place of `path` only when it is complete.

    Links are followed, and a file that was there keeps its mode. What is no file, such as a pipe or
    a device, gets the bytes once they are complete.
    """
    handled = sys.exc_info()[1]  # by the caller
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file() and not target.is_dir():
        content = io.BytesIO()
        write(content)
        target.write_bytes(content.getvalue())
        return
    part = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    try:
        with part.open("xb") as file:
            write(file)
        if target.exists():
            part.chmod(stat.S_IMODE(target.stat().st_mode))
        part.replace(target)
    except BaseException as error:
        part.unlink(missing_ok=True)
        # In the wake of Ctrl-C zipfile fails to close its archive, by an error that would hide it.
        context: BaseException | None = error
        while context is not None and context is not handled:
            if isinstance(context, KeyboardInterrupt):
                raise context from None
            context = context.__context__
        raise


def write_network(
    path: str | os.PathLike[str],
    arrays: Mapping[str, NDArray[Any]],
    kind: str = "cvxnn.network",
) -> None:
    """Write the arrays of a network, with the format and its version."""
    stored = {
        "format": np.array(kind),
        "version": np.array(_FORMAT_VERSION),
        **arrays,
    }
    # The keywords of savez are arrays here.
    write_atomically(path, lambda file: np.savez(file, **stored))  # type: ignore[arg-type]


def read_network(
    path: str | os.PathLike[str], kind: str = "cvxnn.network"
) -> dict[str, NDArray[Any]]:
    """Return the arrays that `write_network` wrote; their shapes are not checked."""
    stored = {"format", "version", *_STORED[kind]}
    arrays, members = _read_arrays(path, stored)
    version = arrays.get("version", np.array(None))
    numbered = version.shape == () and version.dtype.kind == "i" and version >= 1
    if str(arrays.get("format")) != kind or not numbered:
        raise ValueError(f"{path} is not a {kind.replace('.', ' ').replace('_', ' ')}")
    if version > _FORMAT_VERSION:
        raise ValueError(
            f"{path} has format version {version}, this cvxnn reads up to {_FORMAT_VERSION}: "
            "upgrade cvxnn"
        )
    # Names are outside the archive's check sums, and some arrays are optional.
    if unknown := sorted(members - stored):
        raise ValueError(f"{path} is a broken cvxnn network: unknown arrays {unknown}")
    return arrays


def stored_format(path: str | os.PathLike[str]) -> str:
    """Return the format that a file says it has; nothing else of it is checked."""
    return str(_read_arrays(path, {"format"})[0].get("format"))


def _read_arrays(
    path: str | os.PathLike[str], names: Collection[str]
) -> tuple[dict[str, NDArray[Any]], set[str]]:
    """Return those arrays of a file that have certain names, and the names of all."""
    try:
        with zipfile.ZipFile(path) as archive:
            _check_count(path, len(archive.infolist()))
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            known = {name: info for name, info in members.items() if name in names}
            _check_sizes(known.values(), Path(path).stat().st_size)
            arrays = {name: _read_array(archive, info) for name, info in known.items()}
    except FileNotFoundError:
        raise
    except Exception as error:  # the parsers of numpy and zipfile let out what their parts raise
        raise ValueError(f"{path} is not a readable cvxnn network: {error}") from None
    return arrays, set(members)


def _check_count(path: str | os.PathLike[str], n_members: int) -> None:
    """Refuse a directory that lost members: zipfile does not count them, and some are optional."""
    with Path(path).open("rb") as file:
        file.seek(-_END.size, os.SEEK_END)
        magic, *_, count = _END.unpack(file.read())
    if magic != b"PK\5\6" or count != n_members:
        raise ValueError("its directory is broken")


def _check_sizes(members: Collection[zipfile.ZipInfo], limit: int) -> None:
    """Refuse members that would take more memory than the file has bytes: shared or compressed."""
    if any(info.compress_type != zipfile.ZIP_STORED for info in members):
        raise ValueError("it is compressed")
    if sum(max(info.file_size, info.compress_size) for info in members) > limit:
        raise ValueError("its arrays are larger than the file")


def _read_array(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> NDArray[Any]:
    """Return an array of the size that its bytes have, once their check sum is right."""
    content = io.BytesIO(archive.read(info))
    if (layout := npy.read_magic(content)) != (1, 0):
        raise ValueError(f"{info.filename} has the layout {layout}")
    shape, _, dtype = npy.read_array_header_1_0(content)
    if dtype.kind not in "fiU":
        raise ValueError(f"{info.filename} has the dtype {dtype}")
    n_bytes = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or n_bytes != len(content.getbuffer()) - content.tell():
        raise ValueError(f"{info.filename} has not the size of {shape}")
    content.seek(0)
    return npy.read_array(content, allow_pickle=False)

"""Model files that nobody saved: `load` refuses them or returns a network, and no more."""

import io
import struct
import zipfile

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import cvxnn
from networks import make_network

NPY = struct.Struct("<6sBBH")  # magic, version of the layout, length of the header


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("files") / "net.npz"


@pytest.fixture(scope="module")
def members(path):
    """Return the contents of the members of a good file."""
    make_network("gated_relu", n_features=2, width=3, skip=True).save(path)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(path, members, compression=zipfile.ZIP_STORED):
    """Write an archive whose check sums are right."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def opened(kind, path):
    """Return the network of a file, or None where it is refused as documented."""
    network, message = None, None
    try:
        network = kind.load(path)
    except ValueError as error:
        message = str(error)
    assert network is not None or message.startswith(f"{path} ")
    return network


def load(path):
    """Return the same for a `Network`, which can then predict."""
    network = opened(cvxnn.Network, path)
    if network is not None:
        outputs = network.predict(np.ones((2, network.n_features_in_)))
        assert outputs.shape[0] == 2
    return network


def npy(header, data=b""):
    """Return an .npy file with the text of a header."""
    text = header.encode("latin1") + b"\n"
    return NPY.pack(b"\x93NUMPY", 1, 0, len(text)) + text + data


def shaped(shape, descr="<f8"):
    return f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}, }}"


many = settings(max_examples=300, deadline=None, derandomize=True)


@many
@given(st.data())
def test_any_bytes_changed_in_the_archive(path, members, data):
    write(path, members)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.sampled_from([len(content), len(content) - 1, 500]))]
    path.write_bytes(content)
    load(path)


@many
@given(st.data())
def test_any_bytes_changed_behind_the_check_sums(path, members, data):
    name = data.draw(st.sampled_from(sorted(members)))
    content = bytearray(members[name])
    for _ in range(data.draw(st.integers(1, 4))):
        # The header, up to byte 128, is where there is something to break.
        position = data.draw(st.integers(0, min(len(content) - 1, 140)))
        content[position] = data.draw(st.integers(0, 255))
    write(path, {**members, name: bytes(content)})
    load(path)


@many
@given(st.sampled_from(["coefs_0.npy", "version.npy", "format.npy"]), st.text(max_size=60))
@example("coefs_0.npy", "(" * 9000)
@example("coefs_0.npy", "-" * 9000 + "1")
@example("coefs_0.npy", "[" * 90 + "]" * 90)
@example("coefs_0.npy", "{" * 20000)
@example("coefs_0.npy", "{'descr': 'f8', 'shape': (3L,), 'fortran_order': False}")
def test_any_header(path, members, name, header):
    content = npy(header.encode("latin1", "replace").decode("latin1"))
    write(path, {**members, name: content})
    assert load(path) is None


@pytest.mark.parametrize(
    "descr", ["<f8", "<U3", "<U0", "|V0", "|S0", "<i1", "|O", "<c16", "<M8[s]"]
)
@pytest.mark.parametrize(
    "shape",
    [
        (10**15,),
        (10**9, 10**9),
        (0, 10**30),
        (-1, 3),
        (-2, -3),
        (2**62, 4),
        (1,) * 100,
        (True, True),
        (2, 3.0),
        "5",
    ],
    ids=str,
)
def test_declared_shapes(path, members, descr, shape):
    write(path, {**members, "coefs_0.npy": npy(shaped(shape, descr), bytes(48))})
    assert load(path) is None


@pytest.mark.parametrize("descr", [[("a", "<f8")], ("<f8", (10**6,)), "<f8,<f8", "nonsense"])
def test_declared_types(path, members, descr):
    write(path, {**members, "coefs_0.npy": npy(shaped((2, 3), descr), bytes(48))})
    assert load(path) is None


def test_compressed_archive_is_refused_unread(path, members):
    zeros = io.BytesIO()
    np.save(zeros, np.zeros(10**7))
    write(path, {**members, "skip.npy": zeros.getvalue()}, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 10**6
    with pytest.raises(ValueError, match=r"is not a readable cvxnn network: it is compressed$"):
        cvxnn.Network.load(path)


def test_members_that_share_their_bytes(path):
    # Each name of the directory points to the same large member.
    names = ["coefs_0.npy", "coefs_1.npy", "gates.npy", "skip.npy"]
    buffer = io.BytesIO()
    np.save(buffer, np.ones(1000))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(names[0], buffer.getvalue())
        for name in names[1:]:
            twin = zipfile.ZipInfo(name)
            first = archive.getinfo(names[0])
            twin.header_offset, twin.CRC = first.header_offset, first.CRC
            twin.file_size, twin.compress_size = first.file_size, first.compress_size
            archive.filelist.append(twin)
    with pytest.raises(ValueError, match="its arrays are larger than the file"):
        cvxnn.Network.load(path)


def test_directory_that_lost_a_member(path, members):
    # The length of a comment is outside the check sums: it may swallow the member that follows.
    write(path, dict(sorted(members.items(), key=lambda member: member[0] == "skip.npy")))
    content = bytearray(path.read_bytes())
    entry = content.rindex(b"PK\1\2", 0, content.rindex(b"skip.npy") - 46)
    last = content.rindex(b"skip.npy") + len(b"skip.npy")
    content[entry + 32] = last - content.rindex(b"PK\1\2")
    path.write_bytes(content)
    with zipfile.ZipFile(path) as archive:
        assert "skip.npy" not in archive.namelist()
    with pytest.raises(ValueError, match="its directory is broken"):
        cvxnn.Network.load(path)


@pytest.mark.parametrize("layout", [(2, 0), (3, 0), (9, 9)])
def test_other_layouts(path, members, layout):
    content = bytearray(members["coefs_0.npy"])
    content[6:8] = layout
    write(path, {**members, "coefs_0.npy": bytes(content)})
    with pytest.raises(ValueError, match="is not a readable cvxnn network"):
        cvxnn.Network.load(path)


def test_good_members_in_another_archive(path, members):
    write(path, dict(reversed(members.items())))
    assert load(path) is not None


@pytest.fixture(scope="module")
def conv_members(path):
    """Return the contents of the members of a good file of a convolutional network."""
    weights = np.arange(8.0).reshape(2, 1, 2, 2)
    cvxnn.ConvNetwork(
        weights,
        [0.0, 1.0],
        np.ones((2, 4, 1)),
        [0.0],
        activation="gated_relu",
        gates=weights,
        pooling=("max", 2),
    ).save(path)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@many
@given(st.data())
def test_any_bytes_changed_in_a_convolutional_network(path, conv_members, data):
    name = data.draw(st.sampled_from(sorted(conv_members)))
    content = bytearray(conv_members[name])
    for _ in range(data.draw(st.integers(1, 4))):
        # Values too: steps and sizes of windows are among them.
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    write(path, {**conv_members, name: bytes(content)})
    network = opened(cvxnn.ConvNetwork, path)
    assert network is None or network.width == 2

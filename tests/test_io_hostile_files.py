"""minigrad.io: whatever bytes a file holds, reading it gives what it says or a DataError that names the file; no code
of it runs, and it allocates no more than its size allows."""

import io as streams
import json
import os
import pickle
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad import io
from minigrad.errors import DataError

QUICK = settings(max_examples=150, deadline=None, database=None, derandomize=True,
                 suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
STATE = {
    "model": {"w": mg.tensor(np.arange(12.0).reshape(3, 4)), "flag": np.array([True, False])},
    "lr": [0.1, None, 3],
}
FLAT = {"w": mg.tensor(np.arange(12.0).reshape(3, 4)), "n": np.arange(5)}


def read(folder, suffix, content):
    """load() of a file with this content; None if it was refused as it should be."""
    path = folder / f"x.{suffix}"
    path.write_bytes(content)
    tracemalloc.start()
    try:
        loaded = io.load(path)
        if suffix == "safetensors":
            io.load(path, memory_map=True)
        io.load_metadata(path)
        return loaded
    except DataError as error:
        assert str(path) in str(error) and len(str(error)) < 1500
        return None
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 50 * len(content) + 2_000_000, f"{peak} bytes for a file of {len(content)}"


@pytest.fixture(scope="module")
def valid(tmp_path_factory):
    """(suffix, content) of files as they should be."""
    folder = tmp_path_factory.mktemp("valid")
    found = []
    for suffix in ("safetensors", "npz"):
        for state in (STATE, FLAT):
            io.save(state, folder / f"x.{suffix}", metadata={"epoch": "3"})
            found.append((suffix, (folder / f"x.{suffix}").read_bytes()))
    found.append(("pt", archive(program=STATE_DICT)))
    packed = streams.BytesIO()
    np.savez_compressed(packed, a=np.zeros(1000), b=np.asfortranarray(np.ones((3, 4))))
    return [*found, ("npz", packed.getvalue())]


# ---- PyTorch's format, written by hand -------------------------------------------------------------------------------
def word(text):
    return b"X" + struct.pack("<I", len(text)) + text.encode()


def number(n):
    return b"J" + struct.pack("<i", n) if -(2**31) <= n < 2**31 else b"\x8a\x0a" + n.to_bytes(10, "little", signed=True)


def name(module, attribute):
    return f"c{module}\n{attribute}\n".encode()


def numbers(*values):
    return b"(" + b"".join(map(number, values)) + b"t"


def tensor(size=(2, 3), stride=(3, 1), offset=0, count=6, kind="FloatStorage", key="0"):
    storage = b"(" + word("storage") + name("torch", kind) + word(key) + word("cpu") + number(count) + b"tQ"
    hooks = name("collections", "OrderedDict") + b")R"
    parts = storage + number(offset) + numbers(*size) + numbers(*stride) + b"\x89" + hooks
    return name("torch._utils", "_rebuild_tensor_v2") + b"(" + parts + b"tR"


def program(value):
    return b"\x80\x02" + value + b"."


STATE_DICT = program(b"}(" + word("w") + tensor() + word("n") + number(3) + b"u")


SIX = struct.pack("<6f", *range(6))


def archive(program=STATE_DICT, storage=SIX, compression=zipfile.ZIP_STORED, **members):
    file = streams.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as packed:
        packed.writestr("m/data.pkl", program)
        packed.writestr("m/data/0", storage)
        for member, content in members.items():
            packed.writestr(f"m/{member}", content)
    return file.getvalue()


def test_hand_written_file_is_read(tmp_path):
    loaded = read(tmp_path, "pt", archive())
    assert loaded["n"] == 3 and loaded["w"].tolist() == [[0, 1, 2], [3, 4, 5]]
    swapped = np.arange(6, dtype=">f4").tobytes()
    assert read(tmp_path, "pt", archive(storage=swapped, byteorder=b"big"))["w"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert read(tmp_path, "pt", archive(byteorder=b"middle")) is None


class Runs:
    def __init__(self, call, *args):
        self.call, self.args = call, args

    def __reduce__(self):
        return self.call, self.args


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(("call", "args"), [
    (os.system, ("touch ran",)), (eval, ("open('ran', 'w')",)), (print, ("ran",)), (getattr, ("text", "upper")),
    (__import__, ("antigravity",)),
])  # fmt: skip
def test_code_is_named_and_not_run(tmp_path, monkeypatch, capsys, protocol, call, args):
    monkeypatch.chdir(tmp_path)
    content = pickle.dumps({"w": Runs(call, *args)}, protocol)
    path = tmp_path / "evil.pt"
    path.write_bytes(archive(content))
    with pytest.raises(DataError, match="refused: it holds .*" + call.__name__):
        io.load(path)
    np.savez(tmp_path / "evil.npz", w=np.array([Runs(call, *args)], object))
    with pytest.raises(DataError, match="Python objects"):
        io.load(tmp_path / "evil.npz")
    assert not (tmp_path / "ran").exists() and not capsys.readouterr().out


@pytest.mark.parametrize("content", [
    program(name("torch._utils", "_rebuild_tensor_v2")),  # a name alone is harmless
    program(name("torch", "FloatStorage") + b")R"), program(word("a") + b")R"), program(b"}" + b"}b"),
    program(name("collections", "OrderedDict") + b")R" + b"}b" + name("os", "system")),
    program(name("collections", "OrderedDict") + b")\x81"), program(b"(i" + b"os\nsystem\n"),
    program(b"(cos\nsystem\no"),
    program(b"P0\n"), program(b"\x82\x01"), program(b"\x97"), program(b"\x8d" + b"\xff" * 8),
    program(b"\x96" + b"\xff" * 7 + b"\x00"), program(b"\x8b" + b"\xff\xff\xff\x7f"), program(b"r\xff\xff\xff\x7f"),
    program(b"}q\x01r\xff\xff\xff\x7f"), program(b"0"), program(b"t"), program(b"h\x05"), program(b"(((l"), b"\x80\x02",
    program(b"]" * 5000), program(b"(" * 5000 + b"t" * 4999), program(b"}](]s"), program(b"}]Ks"), b"", b"." * 9,
    program(b"I" + b"9" * 6000 + b"\n"), program(b"](h\x00e"), program(b"}(" + b"]" + number(1) + b"u"),
    program(b"\x95" + b"\xff" * 8), program(b"(lp0\ng0\na"), program(b"2"), program(word("storage") + b"Q"),
    program(name("torch", "Size") + numbers(1) + b"R"), program(name("torch", "device") + b")R"),
    program(name("torch._utils", "_rebuild_parameter") + numbers(1, 2, 3) + b"R"),
    program(name("torch._utils", "_rebuild_tensor_v3") + numbers(1, 2, 3, 4, 5, 6, 7) + b"R"),
], ids=lambda content: f"{len(content)} bytes")  # fmt: skip
def test_malformed_programs(tmp_path, content):
    read(tmp_path, "pt", archive(content))


@pytest.mark.parametrize("options", [
    {"size": (2, 4), "stride": (4, 1)}, {"offset": 1}, {"offset": -1}, {"size": (-2, 3)}, {"stride": (-3, 1)},
    {"size": (2**40, 2**40), "stride": (0, 0)}, {"size": (2**62,), "stride": (1,)}, {"size": (2, 3), "stride": (1,)},
    {"size": (1,) * 70, "stride": (1,) * 70}, {"count": 7}, {"count": 2**60}, {"count": -1}, {"kind": "DoubleStorage"},
    {"kind": "QInt8Storage"}, {"kind": "Tensor"}, {"key": "1"}, {"key": "../data.pkl"},
    {"size": (0, 2**62), "stride": (1, 1)},
    {"size": (2**40, 0), "stride": (1, 1)}, {"offset": 2**70}, {"size": (3, 2), "stride": (2**63, 1)},
])  # fmt: skip
def test_tensors_outside_their_storage(tmp_path, options):
    loaded = read(tmp_path, "pt", archive(program(tensor(**options))))
    assert loaded is None or not loaded.size


def test_nested_references_stay_small(tmp_path):
    """[[], []] of [[], []] ...: 2**60 lists in a few bytes, if somebody walked through them."""
    content = b"]q\x00" + b"".join(b"(h" + bytes([i]) + b"h" + bytes([i]) + b"lq" + bytes([i + 1]) for i in range(60))
    assert read(tmp_path, "pt", archive(program(content))) is not None


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_other_formats_are_named(tmp_path):
    path = tmp_path / "x.pt"
    for content, words in (
        (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.", "not a complete PyTorch file"),
        (b"\0" * 257 + b"ustar\0", "before 0.2"),
        (b"", "not a complete PyTorch file"),
        (archive(**{"constants.pkl": b""}), "TorchScript"),
        (archive(compression=zipfile.ZIP_DEFLATED), "compressed"),
        (archive(**{"data/0": b""}), "twice"),
    ):
        path.write_bytes(content)
        with pytest.raises(DataError, match=words):
            io.load(path)
    with pytest.raises(DataError, match="cannot be read"):
        io.load(tmp_path / "none.pth")
    with pytest.raises(DataError, match=r"must end in .safetensors, .npz, .pt or .pth"):
        io.save({}, path.with_suffix(".bin"))
    with pytest.raises(DataError, match="cannot be read"):
        io.load(tmp_path.parent / "missing folder" / "x.npz")


# ---- any format: cut, changed, made up -------------------------------------------------------------------------------
def test_every_truncation(tmp_path, valid):
    for suffix, content in valid:
        step = max(1, len(content) // 150)
        for n in {
            *range(0, len(content), step),
            *range(max(0, len(content) - 30), len(content)),
            *range(min(20, len(content))),
        }:
            assert read(tmp_path, suffix, content[:n]) is None, f"{suffix}: {n} of {len(content)} bytes"


@given(data=st.data())
@QUICK
def test_random_changes(tmp_path, valid, data):
    suffix, content = data.draw(st.sampled_from(valid))
    content = bytearray(content)
    for _ in range(data.draw(st.integers(1, 4))):
        at, kind = (
            data.draw(st.integers(0, len(content) - 1)),
            data.draw(st.sampled_from(["set", "insert", "delete", "copy"])),
        )
        if kind == "set":
            content[at] = data.draw(st.integers(0, 255))
        elif kind == "insert":
            content[at:at] = data.draw(st.binary(min_size=1, max_size=9))
        elif kind == "delete" and len(content) > 20:
            del content[at : at + data.draw(st.integers(1, 12))]
        else:
            content[at:at] = content[: data.draw(st.integers(1, 40))]
    read(tmp_path, suffix, bytes(content))


@given(suffix=st.sampled_from(["safetensors", "npz", "pt"]), content=st.binary(max_size=400))
@QUICK
def test_random_bytes(tmp_path, suffix, content):
    assert read(tmp_path, suffix, content) is None


@given(content=st.lists(st.sampled_from([
    b"(", b".", b"0", b"1", b"2", b"N", b"R", b"b", b"a", b"e", b"]", b")", b"}", b"s", b"u", b"t", b"l", b"d", b"Q",
    b"\x85", b"\x86", b"\x87", b"\x88", b"\x8f", b"\x90", b"\x91", b"\x93", b"\x94", b"q\x00", b"h\x00",
    word("storage"),
    word("0"), number(1), number(-1), tensor(), name("collections", "OrderedDict"), name("torch", "Size"),
    name("torch._utils", "_rebuild_parameter"), name("torch", "FloatStorage"), name("builtins", "set"),
]), max_size=25))  # fmt: skip
@QUICK
def test_random_programs(tmp_path, content):
    read(tmp_path, "pt", archive(program(b"".join(content))))


def header(text, data=b"", length=None):
    text = text if isinstance(text, bytes) else json.dumps(text).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


ONE = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize("content", [
    header({}, length=2**63), header({}, length=2**64 - 1), header({}, length=10**8), header({}, length=0), header(b""),
    header(b"[" * 5000), header(b'{"a":' * 5000), header(b"[1]"), header(b"null"), header(b"\xff\xfe"),
    header({"a": 1}),
    header({"a": {**ONE, "data_offsets": [8, 0]}}, bytes(8)), header({"a": {**ONE, "data_offsets": [-8, 0]}}, bytes(8)),
    header({"a": {**ONE, "data_offsets": [0, 2**63]}}, bytes(8)), header({"a": {**ONE, "shape": [2**62]}}, bytes(8)),
    header({"a": {**ONE, "shape": [2**33, 2**33]}}, bytes(8)), header({"a": {**ONE, "shape": [-2]}}, bytes(8)),
    header({"a": {**ONE, "shape": "x"}}, bytes(8)), header({"a": {**ONE, "dtype": "F77"}}, bytes(8)),
    header({"a": ONE, "b": ONE}, bytes(8)), header({"a": ONE, "b": {**ONE, "data_offsets": [4, 12]}}, bytes(12)),
    header({"a": ONE}, bytes(7)), header({"a": ONE}, bytes(9)),
    header({"a": {**ONE, "data_offsets": [4, 12]}}, bytes(12)),
    header(b'{"a":' + json.dumps(ONE).encode() + b',"a":' + json.dumps(ONE).encode() + b"}", bytes(8)),
    header({"a": ONE, "__metadata__": {"minigrad.structure": "[" * 3000}}, bytes(8)),
    header({"a": ONE, "__metadata__": {"minigrad.structure": '{"dict":[[' * 900}}, bytes(8)),
    header({"a": ONE, "__metadata__": {"minigrad.complex128": '["a"]'}}, bytes(8)),
    header({"a": ONE, "__metadata__": {"minigrad.complex128": '[["a"]]'}}, bytes(8)),
    header({"a": ONE, "__metadata__": {"minigrad.complex128": "3"}}, bytes(8)),
    header({"a": ONE, "__metadata__": {"k": 3}}, bytes(8)), header({"a": ONE, "__metadata__": []}, bytes(8)),
    header({"a": {**ONE, "dtype": "F8_E4M3", "data_offsets": [0, 2]}}, bytes(2)),
    *(header({"a": ONE, "__metadata__": {"minigrad.structure": json.dumps(text)}}, bytes(8)) for text in (
        {"tensor": "b"}, {"tensor": ["a"]}, {"tensor": "a", "array": "a"}, {"float": "1e999999"},
        {"complex": ["a", "b"]},
        {"complex": [1]}, {"dict": [["k"]]}, {"dict": [["k", 1], ["k", 2]]}, {"dict": [[{"list": []}, 1]]}, {"dict": 3},
        {"object": []}, [1, 2], {"OrderedDict": [[{"tensor": "a"}, 1]]}, {"dict": [[{"dict": []}, 1]]}, {},
    )),
], ids=lambda content: f"{len(content)} bytes")  # fmt: skip
def test_safetensors_that_lie(tmp_path, content):
    assert read(tmp_path, "safetensors", content) is None


def member(shape="(2,)", descr="'<f4'", order="False", data=bytes(8), version=(1, 0), length=None, extra=""):
    text = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}{extra}}}".encode()
    size = struct.pack("<H" if version == (1, 0) else "<I", len(text) if length is None else length)
    return b"\x93NUMPY" + bytes(version) + size + text + data


def npz(*members, compression=zipfile.ZIP_STORED):
    file = streams.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as packed:
        for i, content in enumerate(members):
            packed.writestr(zipfile.ZipInfo(f"a{i}.npy") if compression == 0 else f"a{i}.npy", content)
    return file.getvalue()


@pytest.mark.parametrize("content", [
    member(shape="(10**12,)"), member(shape="(1000000000000,)"), member(shape="(3,)"), member(shape="(-2,)"),
    member(shape="2"), member(shape="(2.0,)"), member(shape="(True, 2)"), member(shape="(1,) * 99"),
    member(shape="(" * 500 + ")" * 500), member(shape="((2,),)"), member(descr="'|O'"), member(descr="'O8'"),
    member(descr="'<M8[s]'"), member(descr="'<U2'"), member(descr="'|V4'"), member(descr="[('a', '<f4')]"),
    member(descr="__import__('os').getcwd()"), member(descr="3"), member(descr="'<f16'"), member(descr="'nonsense'"),
    member(descr="'" + "f4," * 2000 + "'"), member(extra=", 'more': 1"), member(length=60_000), member(length=2),
    member(version=(3, 0), length=2**32 - 1), member()[:5], b"", b"\x93NUMPY", member(data=b""), member(data=bytes(9)),
    member(shape="(0, 1000000000000)", data=bytes(1)), member(descr="'|V0'", shape="(1000000000000,)", data=b""),
], ids=lambda content: f"{len(content)} bytes")  # fmt: skip
def test_npz_members_that_lie(tmp_path, content):
    assert read(tmp_path, "npz", npz(content)) is None


def test_zip_bombs_and_tricks(tmp_path):
    bomb = npz(member(shape="(75000000,)", data=bytes(300_000_000)), compression=zipfile.ZIP_DEFLATED)
    assert len(bomb) < 400_000 and read(tmp_path, "npz", bomb) is None
    modest = npz(member(shape="(25000,)", data=bytes(100_000)), compression=zipfile.ZIP_DEFLATED)
    path = tmp_path / "zeros.npz"
    path.write_bytes(modest)
    assert io.load(path)["a0"].shape == (25000,)
    overlapping = bytearray(npz(member(), member()))
    first = overlapping.index(b"PK\x01\x02")
    second = overlapping.index(b"PK\x01\x02", first + 4)
    overlapping[second + 42 : second + 46] = overlapping[first + 42 : first + 46]  # both at one place
    read(tmp_path, "npz", bytes(overlapping))
    encrypted = bytearray(npz(member()))
    encrypted[encrypted.index(b"PK\x01\x02") + 8] |= 1
    assert read(tmp_path, "npz", bytes(encrypted)) is None
    unknown = bytearray(npz(member()))
    unknown[unknown.index(b"PK\x01\x02") + 10] = 99
    assert read(tmp_path, "npz", bytes(unknown)) is None


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_paths_in_archives_lead_nowhere(tmp_path):
    inside = tmp_path / "inside"
    inside.mkdir()
    for names in (["../../evil.npy", "/etc/evil.npy", "C:\\evil.npy", "."], ["a.npy", "a.npy"], ["a", "a.npy"]):
        file = streams.BytesIO()
        with zipfile.ZipFile(file, "w") as packed:
            for one in names:
                packed.writestr(one, member())
        loaded = read(inside, "npz", file.getvalue())
        assert (loaded is None) == (len({n.removesuffix(".npy") for n in names}) < len(names))
    assert [p.name for p in tmp_path.iterdir()] == ["inside"] and [p.name for p in inside.iterdir()] == ["x.npz"]


def test_folders_and_missing_rights(tmp_path):
    for suffix in ("npz", "pt", "safetensors"):
        (tmp_path / f"x.{suffix}").mkdir()
        with pytest.raises(DataError, match=f"x.{suffix}"):
            io.load(tmp_path / f"x.{suffix}")

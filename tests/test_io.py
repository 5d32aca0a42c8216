"""minigrad.io: what is saved is what is loaded, and a file is complete or as it was."""

import os
import stat

import numpy as np
import pytest

import minigrad as mg
from minigrad import io
from minigrad.errors import DataError, DTypeError, ExtraError, MinigradError

SUFFIXES = ["safetensors", "npz"]
STATE = {
    "weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "strided": np.arange(12, dtype=np.int64)[::-2],
    "scalar": np.float64(2.5),
    "empty": np.zeros((0, 3), np.float16),
    "flags": np.array([True, False]),
    "big endian": np.arange(3, dtype=">i4"),
    "bytes": np.arange(256, dtype=np.uint8),
    "special": np.array([np.nan, np.inf, -np.inf, -0.0], np.float32),
}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_round_trip(tmp_path, suffix):
    path = tmp_path / f"state.{suffix}"
    io.save(STATE, path, metadata={"epoch": 3, "note": "µ"})
    loaded = io.load(path)
    assert sorted(loaded) == sorted(STATE)
    for name, value in STATE.items():
        got = loaded[name]
        assert isinstance(got, mg.Tensor) and got.shape == value.shape and got.dtype == value.dtype.newbyteorder("=")
        np.testing.assert_array_equal(got.numpy(), value)
        got.numpy()[...] = 0  # one's own, not a read-only view of the file
    assert io.load_metadata(path) == {"epoch": "3", "note": "µ"}
    io.save({}, path)
    assert io.load(path) == {} and io.load_metadata(path) == {}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_tensors_with_gradients_are_saved(tmp_path, suffix):
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    io.save({"x": x, "y": x * 2}, tmp_path / f"state.{suffix}")
    assert io.load(tmp_path / f"state.{suffix}")["y"].tolist() == [2, 4]


def test_other_libraries_read_the_files(tmp_path):
    from safetensors.numpy import load_file

    io.save(STATE, tmp_path / "state.safetensors")
    np.testing.assert_array_equal(load_file(tmp_path / "state.safetensors")["columns"], STATE["columns"])
    io.save(STATE, tmp_path / "state.npz")
    with np.load(tmp_path / "state.npz") as file:
        np.testing.assert_array_equal(file["strided"], STATE["strided"])


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("damage", [lambda b: b"", lambda b: b[:20], lambda b: b[:-7], lambda b: b"x" * len(b)])
def test_damaged_files_are_errors(tmp_path, suffix, damage):
    path = tmp_path / f"state.{suffix}"
    io.save({"x": np.arange(100.0)}, path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match="not a complete"):
        io.load(path)


def test_pickles_are_not_loaded(tmp_path):
    np.savez(tmp_path / "evil.npz", x=np.array([{}], object))
    with pytest.raises(DataError, match="not a complete npz"):
        io.load(tmp_path / "evil.npz")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_missing_file_and_folder(tmp_path, suffix):
    with pytest.raises(DataError, match="cannot be read"):
        io.load(tmp_path / f"none.{suffix}")
    with pytest.raises(DataError, match="cannot be written"):
        io.save({}, tmp_path / "no folder" / f"state.{suffix}")


def test_bad_names_and_values(tmp_path):
    with pytest.raises(DataError, match="must end in"):
        io.save({}, tmp_path / "state.bin")
    with pytest.raises(DTypeError, match="numbers"):
        io.save({"x": np.array(["a"])}, tmp_path / "state.npz")
    with pytest.raises(DataError, match="__metadata__"):
        io.save({"__metadata__": np.zeros(1)}, tmp_path / "state.npz")


def test_atomic_write_replaces_all_or_nothing(tmp_path, monkeypatch):
    path = tmp_path / "file"
    io.atomic_write(path, "old")
    io.atomic_write(path, b"new")
    assert path.read_text() == "new"

    def full(fd):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match="No space left"):
        io.atomic_write(path, "newer")
    assert path.read_text() == "new" and os.listdir(tmp_path) == ["file"]  # nothing half-written stays


def test_atomic_write_gives_the_permissions_of_a_new_file(tmp_path):
    (tmp_path / "plain").write_text("")
    io.atomic_write(tmp_path / "file", "")
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "file")}
    assert len(modes) == 1


def test_writable_folder(tmp_path):
    assert io.writable_folder(tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="no files can be written"):
        io.writable_folder(tmp_path / "file" / "x")


def test_missing_package_names_its_extra(tmp_path, monkeypatch):
    import sys

    for name in [m for m in sys.modules if m.split(".")[0] == "safetensors"]:
        monkeypatch.setitem(sys.modules, name, None)  # what a failed import looks like
    with pytest.raises(ExtraError, match=r"pip install 'minigrad-engine\[train\]'") as caught:
        io.save({}, tmp_path / "state.safetensors")
    assert isinstance(caught.value, MinigradError) and isinstance(caught.value, ImportError)


def test_equal_things_make_equal_files(tmp_path):
    notes = {f"note {i}": "é" * i for i in range(20)}
    for name in ("a", "b"):
        io.save({"x": np.arange(3.0)}, tmp_path / f"{name}.safetensors", metadata=notes)
        notes = dict(reversed(notes.items()))
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    assert io.load_metadata(tmp_path / "a.safetensors") == notes


def test_the_path_comes_second(tmp_path):
    with pytest.raises(DTypeError, match="first what is saved, then the file's path: got a dict as path"):
        io.save(tmp_path / "a.npz", {"x": np.arange(3.0)})

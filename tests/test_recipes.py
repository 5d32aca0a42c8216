"""Every recipe runs, on tiny data: train, evaluate, predict and generate, as a user would call them."""

import gzip
import json
import struct

import numpy as np
import pytest

import minigrad as mg
from minigrad import io
from minigrad.__main__ import main
from minigrad.data.texts import LANGUAGES
from minigrad.recipes import NAMES, find

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")
pytest.importorskip("safetensors")


@pytest.fixture(scope="module")
def tiny_data(tmp_path_factory):
    """A folder laid out as MINIGRAD_DATA, with a few samples of everything. Random, but with something to learn."""
    root = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    folders = {
        name: root / name for name in ("mnist", "cifar10", "tinyshakespeare", "names", "rt-polarity", "multi30k")
    }
    for folder in folders.values():
        folder.mkdir()
    for part, n in (("train", 120), ("t10k", 60)):
        labels = np.arange(n, dtype=np.uint8) % 10
        images = rng.integers(0, 80, (n, 28, 28), dtype=np.uint8)
        images[np.arange(n), 2 * labels + 3] = 250  # a line at the height that is the label
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            head = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
            path = folders["mnist"] / f"{part}-{kind}-ubyte.gz"
            path.write_bytes(gzip.compress(head + array.tobytes(), mtime=0))
    for part, n in (("train", 120), ("test", 60)):
        records = rng.integers(0, 256, (n, 3073), dtype=np.uint8)
        records[:, 0] = np.arange(n) % 10
        (folders["cifar10"] / f"{part}.bin").write_bytes(records.tobytes())
    lines = ["To be, or not to be:", "that is the question.", "ROMEO:", "But soft! what light", ""]
    text = "\n".join(rng.choice(lines, 600))
    (folders["tinyshakespeare"] / "input.txt").write_text(text)
    for i, language in enumerate(LANGUAGES):
        names = ["".join(rng.choice(list("abcdefgh") + [chr(ord("i") + i)] * 4, 6)).title() for _ in range(12)]
        (folders["names"] / f"{language}.txt").write_text("\n".join(names) + "\n")
    for part, words in (("pos", "a warm and funny film"), ("neg", "dull , slow and far too long")):
        reviews = [" ".join(rng.permutation(words.split())) for _ in range(60)]
        (folders["rt-polarity"] / f"rt-polarity.{part}").write_text("\n".join(reviews) + "\n")
    pairs = [("Ein Mann geht.", "A man walks.", "Un homme marche."), ("Zwei Hunde.", "Two dogs.", "Deux chiens.")]
    for part, n in (("train", 80), ("val", 20), ("test_2016_flickr", 20)):
        chosen = [pairs[i] for i in rng.integers(0, 2, n)]
        for column, language in enumerate(("de", "en", "fr")):
            content = "\n".join(pair[column] for pair in chosen) + "\n"
            (folders["multi30k"] / f"{part}.{language}.gz").write_bytes(gzip.compress(content.encode(), mtime=0))
    return root


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("backend", ["numpy", "strict"])  # strict: nothing is read on the host but through the way out
def test_smoke(backend, name, tiny_data, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("MINIGRAD_DATA", "")  # put back at the end: --data sets it
    recipe, out = find(name), tmp_path / "run"
    common = [name, "--backend", backend, "--data", str(tiny_data), "--out", str(out)]
    with mg.use_backend(backend):  # and whatever backend main() chooses ends with the test
        assert main(["train", *common, "--smoke"]) == 0, capsys.readouterr().err
        trained = capsys.readouterr().out
        last = trained.splitlines()[-1]
        results = json.loads((out / "results.json").read_text())
        assert last.startswith(results["figure"]["name"]) and np.isfinite(results["figure"]["value"])
        for path in out.glob("*.png"):
            assert path.read_bytes().startswith(b"\x89PNG") and str(path) in trained
        assert io.load(out / "weights.safetensors")

        assert main(["evaluate", *common, "--smoke"]) == 0, capsys.readouterr().err
        assert capsys.readouterr().out.splitlines()[-1] == last  # the same weights, the same figure
        if hasattr(recipe, "generate"):
            assert main(["generate", *common, "--length", "5"]) == 0, capsys.readouterr().err
            assert capsys.readouterr().out
        if hasattr(recipe, "predict"):
            question = getattr(recipe, "QUESTION", None) or picture(tmp_path)
            assert main(["predict", *common, question]) == 0, capsys.readouterr().err
            assert capsys.readouterr().out.strip()


def picture(folder):
    """A file with a picture of noise."""
    pillow = pytest.importorskip("PIL.Image")
    path = folder / "picture.png"
    pillow.fromarray(np.random.default_rng(1).integers(0, 256, (40, 30, 3), dtype=np.uint8)).save(path)
    return str(path)

"""minigrad.data: every sample exactly once, the same order for the same seed, and images that stay what they show."""

import gzip
import io
import re
import struct
import tarfile
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import data
from minigrad.data import (
    ArrayDataset,
    Compose,
    DataLoader,
    Dataset,
    RandomAffine,
    RandomHorizontalFlip,
    Subset,
    TensorDataset,
    digits,
    mnist,
    random_split,
    read_idx,
)
from minigrad.errors import ArgumentError, DataError, IndexRangeError, ShapeError


class Squares(Dataset):
    """Samples one by one, not by batch."""

    def __len__(self):
        return 7

    def __getitem__(self, index):
        return {"x": float(index), "square": np.array([index**2]), "name": f"no {index}"}


# ---- data sets -----------------------------------------------------------------------------------------------------
def test_array_dataset_keeps_rows_together():
    rows = ArrayDataset([[1.0, 2.0], [3.0, 4.0]], [0, 1])
    assert len(rows) == 2
    x, y = rows[1]
    assert x.tolist() == [3, 4] and y == 1
    assert x.dtype == np.float32  # Python floats take the default dtype, as everywhere
    assert [part.tolist() for part in rows[:1]] == [[[1, 2]], [0]]
    with pytest.raises(IndexRangeError, match="index 2 of 2"):
        rows[2]


def test_tensor_dataset_gives_tensors():
    x, y = TensorDataset(mg.ones(3, 2), mg.arange(3))[2]
    assert isinstance(x, mg.Tensor) and x.shape == (2,) and y.item() == 2


@pytest.mark.parametrize("arrays", [([1, 2], [1, 2, 3]), (1.0,), ([1], 2)])
def test_array_dataset_refuses_rows_that_do_not_match(arrays):
    with pytest.raises(ShapeError, match="as many rows"):
        ArrayDataset(*arrays)


def test_array_dataset_needs_an_array():
    with pytest.raises(ArgumentError, match="at least one"):
        ArrayDataset()


def test_subset_checks_its_indices():
    assert Subset(ArrayDataset(range(5)), [4, 0])[0] == (4,)
    with pytest.raises(IndexRangeError, match="0 to 4"):
        Subset(ArrayDataset(range(5)), [5])


def test_unfinished_dataset_says_what_is_missing():
    with pytest.raises(NotImplementedError, match="__len__"):
        len(Dataset())
    with pytest.raises(NotImplementedError, match="__getitem__"):
        Dataset()[0]


# ---- splitting -----------------------------------------------------------------------------------------------------
@given(st.integers(0, 60), st.integers(1, 4), st.integers(0, 5), st.booleans())
def test_split_gives_each_sample_to_one_part(n, parts, seed, stratified):
    sizes = [n // parts] * (parts - 1) + [n - n // parts * (parts - 1)]
    labels = np.arange(n) % 3 if stratified else None
    split = random_split(ArrayDataset(np.arange(n)), sizes, generator=mg.Generator(seed), stratify=labels)
    assert [len(part) for part in split] == sizes
    assert sorted(i for part in split for i in part.indices.tolist()) == list(range(n))


def test_split_by_fractions_and_seed():
    rows = ArrayDataset(range(10))
    a, b = random_split(rows, [0.75, 0.25], generator=mg.Generator(1))
    assert (len(a), len(b)) == (8, 2)
    again = random_split(rows, [0.75, 0.25], generator=mg.Generator(1))
    other = random_split(rows, [0.75, 0.25], generator=mg.Generator(2))
    assert a.indices.tolist() == again[0].indices.tolist() != other[0].indices.tolist()


def test_stratified_split_has_each_class_in_its_share():
    labels = np.repeat([0, 1, 2], [100, 50, 10])
    for part, share in zip(random_split(ArrayDataset(labels), [0.7, 0.1, 0.2], stratify=labels), [0.7, 0.1, 0.2]):
        counts = np.bincount(labels[part.indices], minlength=3)
        np.testing.assert_allclose(counts, np.array([100, 50, 10]) * share, atol=1.5)


@pytest.mark.parametrize("lengths", [[3, 3], [0.5, 0.6], [1.5, -0.5], [11, -1]])
def test_split_refuses_lengths_that_do_not_add_up(lengths):
    with pytest.raises(ArgumentError, match="add up"):
        random_split(ArrayDataset(range(10)), lengths)


def test_split_refuses_classes_of_another_length():
    with pytest.raises(ShapeError, match="one class per sample"):
        random_split(ArrayDataset(range(10)), [5, 5], stratify=[0, 1])


# ---- DataLoader ----------------------------------------------------------------------------------------------------
@given(st.integers(1, 40), st.integers(1, 12), st.booleans(), st.integers(0, 5))
def test_every_sample_once_per_pass(n, batch_size, shuffle, seed):
    loader = DataLoader(ArrayDataset(np.arange(n)), batch_size, shuffle, seed=seed)
    for _ in range(2):
        batches = [x.tolist() for (x,) in loader]
        assert len(batches) == len(loader)
        assert all(len(batch) == batch_size for batch in batches[:-1])
        seen = [i for batch in batches for i in batch]
        assert sorted(seen) == list(range(n))
        assert shuffle or seen == list(range(n))


def test_seed_sets_the_order_and_each_pass_has_its_own():
    def passes(**options):
        loader = DataLoader(ArrayDataset(range(50)), 50, shuffle=True, **options)
        return [next(iter(loader))[0].tolist() for _ in range(2)]

    first, second = passes(seed=1)
    assert first != second
    assert [first, second] == passes(seed=1) == passes(generator=mg.Generator(1)) != passes(seed=2)
    mg.manual_seed(3)
    shared = passes()
    mg.manual_seed(3)
    assert shared == passes()


def test_drop_last_leaves_out_what_does_not_fill_a_batch():
    loader = DataLoader(ArrayDataset(range(10)), 4, drop_last=True)
    assert len(loader) == 2 and [len(x) for (x,) in loader] == [4, 4]


def test_batches_are_tensors_of_the_samples_dtypes():
    x, y = next(iter(DataLoader(ArrayDataset(np.zeros((4, 1, 2), np.float32), np.arange(4)), 3)))
    assert isinstance(x, mg.Tensor) and x.shape == (3, 1, 2) and x.dtype == np.float32
    assert y.shape == (3,) and y.dtype == np.int64


def test_samples_one_by_one_are_collated_by_structure():
    batch = next(iter(DataLoader(Squares(), 3)))
    assert batch["x"].dtype == np.float32 and batch["x"].tolist() == [0, 1, 2]
    assert batch["square"].tolist() == [[0], [1], [4]]
    assert batch["name"] == ["no 0", "no 1", "no 2"]


def test_a_list_is_a_data_set():
    pairs = [(mg.tensor([1.0]), 0), (mg.tensor([2.0]), 1)]
    ((x, y),) = DataLoader(pairs, 2)
    assert x.tolist() == [[1], [2]] and y.tolist() == [0, 1]


def test_own_collate_and_sampler():
    loader = DataLoader(Squares(), 2, sampler=[6, 0, 6], collate_fn=lambda samples: [s["name"] for s in samples])
    assert list(loader) == [["no 6", "no 0"], ["no 6"]] and len(loader) == 2


def test_transform_changes_the_first_array_only():
    rows = ArrayDataset(np.ones((4, 2), np.float32), np.arange(4))
    loader = DataLoader(rows, 4, transform=lambda x, generator: x * generator.numpy("integers", 2, 3), seed=0)
    ((x, y),) = loader
    assert x.tolist() == [[2, 2]] * 4 and y.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "options, message",
    [
        ({"batch_size": 0}, "positive integer"),
        ({"batch_size": 2.5}, "positive integer"),
        ({"shuffle": True, "sampler": [0]}, "sampler"),
        ({"generator": mg.Generator(0), "seed": 0}, "not both"),
        ({"batch_size": 6, "drop_last": True}, "leaves no batch"),
    ],
)
def test_loader_refuses(options, message):
    with pytest.raises(ArgumentError, match=message):
        DataLoader(ArrayDataset(range(5)), **options)


def test_empty_data_set_is_an_error():
    with pytest.raises(ArgumentError, match="empty"):
        DataLoader(ArrayDataset(np.zeros((0, 3))))


def test_samples_of_different_shapes_are_an_error():
    with pytest.raises(ArgumentError, match="Pad them"):
        next(iter(DataLoader([np.zeros(2), np.zeros(3)], 2)))


# ---- images --------------------------------------------------------------------------------------------------------
IMAGES = np.random.default_rng(0).random((3, 2, 5, 7)).astype(np.float32)


def test_no_change_is_exact():
    assert (RandomAffine()(IMAGES, mg.Generator(0)) == IMAGES).all()


class Fixed:
    """A generator whose uniform draws are all 1: the largest change."""

    def numpy(self, method, *args):
        return np.ones(args[-1])


def test_shift_by_whole_pixels_moves_them_and_brings_in_zeros():
    moved = RandomAffine(shift=1)(IMAGES, Fixed())
    np.testing.assert_allclose(moved[..., 1:, 1:], IMAGES[..., :-1, :-1], atol=1e-6)
    assert (moved[..., 0, :] == 0).all() and (moved[..., :, 0] == 0).all()


def test_shift_by_half_a_pixel_averages_neighbours():
    moved = RandomAffine(shift=0.5)(IMAGES, Fixed())
    x = IMAGES.astype(np.float64)
    expected = (x[..., 1:, 1:] + x[..., :-1, 1:] + x[..., 1:, :-1] + x[..., :-1, :-1]) / 4
    np.testing.assert_allclose(moved[..., 1:, 1:], expected, atol=1e-6)


def test_quarter_turn_is_a_quarter_turn():
    square = IMAGES[..., :5]
    turned = RandomAffine(degrees=90)(square, Fixed())
    np.testing.assert_allclose(turned, np.rot90(square, axes=(2, 3)), atol=1e-5)


def test_scale_enlarges_about_the_centre():
    image = np.zeros((1, 1, 9, 9), np.float32)
    image[..., 3:6, 3:6] = 1
    larger = RandomAffine(scale=2)(image, Fixed())
    assert larger[0, 0, 4, 4] == 1 and larger.sum() > 3 * image.sum()


def test_changes_repeat_with_the_seed_and_keep_shape_and_dtype():
    change = Compose(RandomAffine(degrees=10, shift=1, scale=1.1, shear=0.1), RandomHorizontalFlip())
    a, b, c = (change(IMAGES, mg.Generator(seed)) for seed in (0, 0, 1))
    assert (a == b).all() and not (a == c).all()
    assert a.shape == IMAGES.shape and a.dtype == IMAGES.dtype
    assert not np.array_equal(a[0], a[1])


def test_flip():
    assert (RandomHorizontalFlip(1)(IMAGES, mg.Generator(0)) == IMAGES[..., ::-1]).all()
    assert (RandomHorizontalFlip(0)(IMAGES, mg.Generator(0)) == IMAGES).all()


def test_changes_refuse_nonsense():
    with pytest.raises(ArgumentError, match="scale >= 1"):
        RandomAffine(scale=0.5)
    with pytest.raises(ArgumentError, match="0 to 1"):
        RandomHorizontalFlip(2)
    with pytest.raises(ShapeError, match=r"\(B, C, H, W\)"):
        RandomAffine()(IMAGES[0], mg.Generator(0))


# ---- real data -----------------------------------------------------------------------------------------------------
def test_digits():
    images, labels, names = digits()
    assert images.shape == (1797, 1, 8, 8) and images.dtype == np.float32
    assert images.min() == 0 and images.max() == 1
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180] and len(names) == 10


def idx(array, type_code=8):
    return bytes([0, 0, type_code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.fixture
def tiny_mnist(tmp_path):
    """A folder with MNIST's four files, of a few made-up images."""
    for part, n in (("train", 6), ("t10k", 4)):
        images = np.arange(n * 28 * 28, dtype=np.uint8).reshape(n, 28, 28)
        (tmp_path / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images), mtime=0))
        (tmp_path / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(np.arange(n, dtype=np.uint8))))
    return tmp_path


def test_mnist_reads_its_files(tiny_mnist, monkeypatch):
    images, labels, _ = mnist("test", tiny_mnist)
    assert images.shape == (4, 1, 28, 28) and images.dtype == np.float32 and labels.tolist() == [0, 1, 2, 3]
    assert images[0, 0, 0, 1] == np.float32(1) / 255
    (tiny_mnist / "mnist").mkdir()
    for file in tiny_mnist.glob("*.gz"):
        file.rename(tiny_mnist / "mnist" / file.name)
    monkeypatch.setenv("MINIGRAD_DATA", str(tiny_mnist))
    assert len(mnist("train").images) == 6


def test_mnist_says_what_is_missing(tiny_mnist, monkeypatch):
    (tiny_mnist / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match=r"lacks t10k-labels-idx1-ubyte\.gz"):
        mnist("test", tiny_mnist)
    with pytest.raises(DataError, match="train"):
        mnist("validation", tiny_mnist)


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """No network, no files."""
    pooch = pytest.importorskip("pooch")

    def refuse(*arguments, **options):
        raise ConnectionError("no route to host\nand more")

    monkeypatch.setattr(pooch, "retrieve", refuse)
    monkeypatch.setenv("MINIGRAD_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("MINIGRAD_DATA", raising=False)


@pytest.mark.parametrize(
    "load, file",
    [
        (lambda: mnist("train"), "FOLDER/mnist/train-images-idx3-ubyte.gz"),
        (lambda: data.fashion_mnist("test"), "FOLDER/fashion-mnist/t10k-images-idx3-ubyte.gz"),
        (lambda: data.cifar10("train"), "FOLDER/cifar10/cifar-10-binary.tar.gz"),
        (lambda: data.cifar100("train"), "FOLDER/cifar100/cifar-100-binary.tar.gz"),
        (data.tiny_shakespeare, "FOLDER/tinyshakespeare/input.txt"),
        (data.names, "FOLDER/names/data.zip"),
        (data.movie_reviews, "FOLDER/rt-polarity/rt-polaritydata.tar.gz"),
        (lambda: data.multi30k("train"), "FOLDER/multi30k/train.de.gz"),
    ],
)
def test_offline_the_error_says_which_file_to_put_where(load, file, offline):
    with pytest.raises(
        DataError, match=f"no route to host\\)\\. Put the file at {re.escape(file)}, and set MINIGRAD_DATA"
    ):
        load()


def test_the_downloaded_archive_may_lie_in_the_data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MINIGRAD_DATA", str(tmp_path))
    (tmp_path / "names").mkdir()
    with zipfile.ZipFile(tmp_path / "names" / "data.zip", "w") as archive:
        archive.writestr("../../evil.txt", "x")
        for language in data.texts.LANGUAGES:
            archive.writestr(f"data/names/{language}.txt", f"{language}son\n\nÅ\n")
    found = data.names()
    assert len(found.texts) == 36 and found.texts[1] == "Å" and found.labels[-1] == 17
    assert not (tmp_path.parent / "evil.txt").exists()


def test_cifar10_reads_binary_files_and_archives(tmp_path):
    rng = np.random.default_rng(0)
    records = rng.integers(0, 256, (20, 3073), dtype=np.uint8)
    records[:, 0] = np.arange(20) % 10
    with tarfile.open(tmp_path / "cifar-10-binary.tar.gz", "w:gz") as archive:
        for i in range(5):
            content = records[4 * i : 4 * i + 4].tobytes()
            info = tarfile.TarInfo(f"./cifar-10-batches-bin/data_batch_{i + 1}.bin")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    with pytest.raises(DataError, match="lacks data_batch_1"):
        data.cifar10("train", tmp_path)
    (tmp_path / "my_train.bin").write_bytes(records.tobytes())
    images, labels, names = data.cifar10("train", tmp_path)
    assert images.shape == (20, 3, 32, 32) and names[3] == "cat" and labels.tolist() == list(range(10)) * 2
    assert images[7, 2, 1, 5] == np.float32(records[7, 1 + 2048 + 32 + 5]) / np.float32(255)
    inside = {k: f"cifar-10-batches-bin/{k}" for k in ("data_batch_1.bin", "data_batch_5.bin")}
    found = data.fetch.members(tmp_path / "cifar-10-binary.tar.gz", inside)
    assert found["data_batch_5.bin"] == records[16:].tobytes()
    with pytest.raises(DataError, match="lacks other"):
        data.fetch.members(tmp_path / "cifar-10-binary.tar.gz", {"a": "other"})
    (tmp_path / "my_train.bin").write_bytes(records.tobytes()[:-1])
    with pytest.raises(DataError, match="incomplete"):
        data.cifar10("train", tmp_path)


def test_cut_archives_are_errors(tmp_path):
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        info = tarfile.TarInfo("x")
        info.size = 5000
        archive.addfile(info, io.BytesIO(np.random.default_rng(0).bytes(5000)))
    whole = (tmp_path / "a.tar.gz").read_bytes()
    for length in (0, 10, len(whole) // 2):
        (tmp_path / "a.tar.gz").write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"damaged or incomplete|lacks"):
            data.fetch.members(tmp_path / "a.tar.gz", {"x": "x"})


def test_tables():
    features, targets, names, classes = data.wine()
    assert features.shape == (178, 13) and np.bincount(targets).tolist() == [59, 71, 48] and len(classes) == 3
    features, targets, names, classes = data.diabetes()
    assert features.dtype == targets.dtype == np.float32 and targets.min() == 25 and classes == () and names[0] == "age"
    assert data.breast_cancer().classes == ("malignant", "benign") and len(data.iris().targets) == 150


def test_random_crop(rng):
    images = rng.normal(size=(5, 2, 6, 7)).astype(np.float32)
    cut = data.RandomCrop((3, 4), padding=1)(images, mg.Generator(0))
    assert cut.shape == (5, 2, 3, 4) and cut.dtype == np.float32
    framed = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    for image, part in zip(framed, cut):
        places = [(i, j) for i in range(6) for j in range(6) if (image[:, i : i + 3, j : j + 4] == part).all()]
        assert places
    with pytest.raises(ShapeError, match="larger"):
        data.RandomCrop(9)(images, mg.Generator(0))


@pytest.mark.data
def test_texts_are_what_they_say(data_dir):
    assert len(set(data.tiny_shakespeare(data_dir / "tinyshakespeare"))) == 65
    assert len(data.names(data_dir / "names").texts) == 20_074
    reviews = data.movie_reviews(data_dir / "rt-polarity")
    assert np.bincount(reviews.labels).tolist() == [5331, 5331]
    pairs = data.multi30k("validation", ("en", "fr"), data_dir / "multi30k")
    assert len(pairs) == 1014 and pairs[0][0].startswith("A group of men")
    assert np.bincount(data.cifar10("test", data_dir / "cifar10").labels).tolist() == [200] * 10


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "not an IDX file"),
        (b"hello", "not an IDX file"),
        (idx(np.zeros((2, 3), np.uint8))[:-1], "incomplete"),
        (idx(np.zeros((2, 3), np.uint8)) + b"x", "incomplete"),
        (b"\0\0\x08\x03\0\0", "incomplete"),
        (gzip.compress(idx(np.zeros(100, np.uint8)), mtime=0)[:-6], "damaged or incomplete"),
        (b"\x1f\x8b" + b"\0" * 30, "gzip"),
    ],
)
def test_damaged_idx_files_are_errors(tmp_path, content, message):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_idx(tmp_path / "file")


def test_idx_types_and_missing_file(tmp_path):
    values = np.array([[1.5, -2]], ">f4")
    (tmp_path / "file").write_bytes(idx(values, 13))
    found = read_idx(tmp_path / "file")
    assert found.dtype == np.float32 and found.dtype.isnative and (found == values).all()
    with pytest.raises(DataError, match="cannot be read"):
        read_idx(tmp_path / "other")


@pytest.mark.data
def test_mnist_is_mnist(data_dir):
    images, labels, _ = mnist("train", data_dir / "mnist")
    assert images.shape == (60_000, 1, 28, 28)
    assert images.mean() == pytest.approx(0.1307, abs=1e-4) and images.std() == pytest.approx(0.3081, abs=1e-4)
    assert np.bincount(labels).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]

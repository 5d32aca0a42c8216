"""Random changes to images, each against a slow formula for one image; and data sets put together."""

import colorsys

import numpy as np
import pytest

import minigrad as mg
from minigrad import data
from minigrad.data import ArrayDataset, ConcatDataset, DataLoader, Subset, k_fold
from minigrad.data.augment import interpolate, shift_hue
from minigrad.errors import ArgumentError, DTypeError, IndexRangeError, ShapeError
from minigrad.nn import functional as F

IMAGES = np.random.default_rng(0).random((6, 3, 8, 9)).astype(np.float32)
CHANGES = [
    data.Normalize([0.4, 0.5, 0.6], 0.2),
    data.RandomHorizontalFlip(),
    data.RandomVerticalFlip(),
    data.RandomRotation(20),
    data.RandomAffine(degrees=8, shift=1.5, scale=1.1, shear=0.1),
    data.RandomCrop(6, padding=1),
    data.RandomResizedCrop(6),
    data.RandomErasing(),
    data.Cutout(3, p=0.5),
    data.ColorJitter(0.4, 0.4, 0.4, 0.2),
    data.GaussianNoise(0.1),
    data.RandomApply(data.GaussianNoise(), 0.5),
    data.Compose([data.RandomVerticalFlip(), data.Cutout(2)]),
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda c: type(c).__name__)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_generator_decides_and_dtype_and_input_stay(change, dtype):
    images = IMAGES.astype(dtype)
    kept = images.copy()
    first, again, other = (change(images, mg.Generator(seed)) for seed in (1, 1, 2))
    assert (first == again).all() and first.dtype == dtype and (images == kept).all()
    assert isinstance(change, data.Normalize) or not np.array_equal(first, other)
    if not isinstance(change, (data.RandomCrop, data.RandomResizedCrop)):
        assert first.shape == images.shape


def test_interpolation_is_bilinear_and_0_outside():
    rng = np.random.default_rng(1)
    rows, columns = rng.uniform(-3, 11, (6, 4, 5)), rng.uniform(-3, 12, (6, 4, 5))
    rows[0, 0], columns[0, 0] = [-1, 0, 7, 8, 7], [0, 8, 8, 3, 9]
    got = interpolate(IMAGES.astype(np.float64), rows, columns)
    pixel = lambda n, c, i, j: float(IMAGES[n, c, i, j]) if 0 <= i < 8 and 0 <= j < 9 else 0.0
    for n, c, i, j in np.ndindex(got.shape):
        y, x = rows[n, i, j], columns[n, i, j]
        top, left = int(np.floor(y)), int(np.floor(x))
        d, r = y - top, x - left
        above = (1 - r) * pixel(n, c, top, left) + r * pixel(n, c, top, left + 1)
        below = (1 - r) * pixel(n, c, top + 1, left) + r * pixel(n, c, top + 1, left + 1)
        assert got[n, c, i, j] == pytest.approx((1 - d) * above + d * below, abs=1e-12)


def test_affine_does_not_depend_on_how_many_go_at_a_time(monkeypatch):
    change = data.RandomAffine(degrees=8, shift=1.5, scale=1.1, shear=0.1)
    whole = change(IMAGES, mg.Generator(0))
    monkeypatch.setattr(data.augment, "CACHED", 100)
    assert (change(IMAGES, mg.Generator(0)) == whole).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("change", [CHANGES[3], CHANGES[4], data.RandomAffine(shift=30), CHANGES[6]])
def test_the_kernel_makes_the_same_images(change, dtype):
    images = np.random.default_rng(2).random((60, 3, 13, 11)).astype(dtype)
    with mg.use_backend("numpy"):
        expected = change(images, mg.Generator(0))
    got = change(images, mg.Generator(0))
    assert got.dtype == dtype and images.size > data.augment.COMPILED_FROM
    np.testing.assert_allclose(got, expected, atol=2e-5 if dtype == np.float32 else 1e-12)
    behind = np.moveaxis(np.moveaxis(images, 1, -1).copy(), -1, 1)  # channels last in memory
    np.testing.assert_array_equal(change(behind, mg.Generator(0)), got)


def test_normalize():
    got = data.Normalize([0.1, 0.2, 0.3], [1.0, 2.0, 4.0])(IMAGES)
    for c, (mean, std) in enumerate([(0.1, 1), (0.2, 2), (0.3, 4)]):
        np.testing.assert_allclose(got[:, c], (IMAGES[:, c] - mean) / std, rtol=1e-6)


def test_vertical_flip():
    flipped = data.RandomVerticalFlip(0.5)(IMAGES, mg.Generator(0))
    turned = [np.array_equal(new, old[:, ::-1]) for new, old in zip(flipped, IMAGES)]
    assert [np.array_equal(new, old) for new, old in zip(flipped, IMAGES)] == [not t for t in turned]
    assert 0 < sum(turned) < 6


def test_resized_crop_of_the_whole_image_is_the_image():
    whole = data.RandomResizedCrop((8, 9), scale=(1, 1), ratio=(9 / 8, 9 / 8))
    np.testing.assert_allclose(whole(IMAGES, mg.Generator(0)), IMAGES, atol=1e-6)
    doubled = data.RandomResizedCrop((16, 18), scale=(1, 1), ratio=(9 / 8, 9 / 8))(IMAGES, mg.Generator(0))
    torch = pytest.importorskip("torch")
    expected = torch.nn.functional.interpolate(torch.tensor(IMAGES), (16, 18), mode="bilinear")
    np.testing.assert_allclose(doubled, expected.numpy(), atol=1e-6)
    small = data.RandomResizedCrop(4, scale=(0.08, 0.3))(np.ones((50, 1, 8, 8)), mg.Generator(0))
    np.testing.assert_allclose(small, 1)  # nothing comes in from outside


def test_erasing_covers_a_rectangle_of_the_size_asked_for():
    big = np.ones((200, 1, 20, 30), np.float32)
    erased = data.RandomErasing(0.7, scale=(0.1, 0.2), value=-1)(big, mg.Generator(0)) == -1
    sizes = erased.sum(axis=(1, 2, 3))
    assert (sizes > 0).mean() == pytest.approx(0.7, abs=0.1)
    for mask in erased[sizes > 0, 0]:
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        assert mask.sum() == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
        assert 0.07 < mask.sum() / 600 < 0.23


def test_cutout_is_a_square_cut_at_the_edge():
    covered = data.Cutout(4)(np.ones((300, 2, 9, 9)), mg.Generator(0)) == 0
    assert (covered[:, 0] == covered[:, 1]).all()
    sizes = covered[:, 0].sum(axis=(1, 2))
    assert sizes.max() == 16 and 4 <= sizes.min() < 16


def test_colour_jitter_is_its_formulas():
    factors = {"brightness": (0.7, 0.7), "contrast": (1.3, 1.3), "saturation": (0.5, 0.5), "hue": (0.1, 0.1)}
    got = data.ColorJitter(**factors)(IMAGES.astype(np.float64), mg.Generator(0))
    for image, new in zip(IMAGES.astype(np.float64), got):
        grey = lambda x: 0.2989 * x[0] + 0.587 * x[1] + 0.114 * x[2]
        x = np.clip(0.7 * image, 0, 1)
        x = np.clip(1.3 * x - 0.3 * grey(x).mean(), 0, 1)
        x = np.clip(0.5 * x + 0.5 * grey(x), 0, 1)
        for i, j in np.ndindex(8, 9):
            h, s, v = colorsys.rgb_to_hsv(*x[:, i, j])
            np.testing.assert_allclose(new[:, i, j], colorsys.hsv_to_rgb((h + 0.1) % 1, s, v), atol=1e-12)
    grey_only = data.ColorJitter(0.2, 0.2, 0.2, 0.2)(IMAGES[:, :1], mg.Generator(0))
    assert grey_only.shape == (6, 1, 8, 9)
    np.testing.assert_allclose(shift_hue(IMAGES, np.zeros((6, 1, 1, 1), np.float32)), IMAGES, atol=1e-6)


def test_noise_has_its_width_and_random_apply_its_share():
    noisy = data.GaussianNoise(0.5)(np.zeros((100, 1, 20, 20), np.float32), mg.Generator(0))
    assert noisy.std() == pytest.approx(0.5, rel=0.02)
    some = data.RandomApply(data.GaussianNoise(1.0), 0.3)(np.zeros((1000, 1, 2, 2), np.float32), mg.Generator(0))
    assert some.any(axis=(1, 2, 3)).mean() == pytest.approx(0.3, abs=0.05)


@pytest.mark.parametrize("mixing", [data.Mixup(4, alpha=1.0), data.CutMix(4)], ids=["mixup", "cutmix"])
def test_mixed_images_have_the_mixed_targets(mixing):
    labels = np.array([0, 1, 2, 3, 0, 1])
    images = np.broadcast_to(np.eye(4)[labels][:, :, None, None], (6, 4, 8, 9)).astype(np.float32)  # channel = class
    loader = DataLoader(ArrayDataset(images, labels), 6, batch_transform=mixing, seed=3)
    ((x, y),) = loader
    assert x.shape == images.shape and y.shape == (6, 4) and y.dtype == np.float32
    np.testing.assert_allclose(x.numpy().mean(axis=(2, 3)), y.numpy(), atol=1e-6)  # each class by its area or weight
    assert ((y.numpy() > 0.01) & (y.numpy() < 0.99)).any()
    again, _ = next(iter(DataLoader(ArrayDataset(images, labels), 6, batch_transform=mixing, seed=3, num_workers=1)))
    assert (again.numpy() == x.numpy()).all()
    F.cross_entropy(x.mean(axis=(2, 3)), y)  # takes shares
    numbers = mixing((images, np.arange(6.0)), mg.Generator(0))[1]
    assert numbers.shape == (6,) and numbers.min() >= 0 and numbers.max() <= 5
    with pytest.raises(ArgumentError, match="how many"):
        type(mixing)()((images, labels), mg.Generator(0))


def test_changes_refuse():
    for make in (
        lambda: data.RandomErasing(2),
        lambda: data.RandomErasing(scale=(0.5, 0.1)),
        lambda: data.Cutout(0),
        lambda: data.ColorJitter(-1),
        lambda: data.ColorJitter(hue=0.6),
        lambda: data.GaussianNoise(-1),
        lambda: data.Mixup(alpha=0),
        lambda: data.Normalize(0, 0),
        lambda: data.RandomResizedCrop(4, scale=(0, 1)),
    ):
        with pytest.raises(ArgumentError):
            make()
    with pytest.raises(DTypeError, match="Divide"):
        data.RandomAffine()(np.zeros((1, 1, 2, 2), np.uint8), mg.Generator(0))
    with pytest.raises(ShapeError, match="1 or 3"):
        data.ColorJitter()(np.zeros((1, 2, 2, 2)), mg.Generator(0))


# ---- data sets put together ------------------------------------------------------------------------------------------
def test_concatenated_data_sets_are_one():
    a, b = ArrayDataset(np.arange(3), np.ones(3)), ArrayDataset(np.arange(3, 5), np.zeros(2))
    both = a + b
    assert isinstance(both, ConcatDataset) and len(both) == 5
    assert [int(both[i][0]) for i in range(-5, 5)] == [0, 1, 2, 3, 4] * 2
    x, y = both.batch(np.array([4, 0, 3, 2]))
    assert x.tolist() == [4, 0, 3, 2] and y.tolist() == [0, 1, 0, 1]
    assert sorted(i for x, _ in DataLoader(both + a, 2, shuffle=True) for i in x.tolist()) == [0, 0, 1, 1, 2, 2, 3, 4]
    with pytest.raises(IndexRangeError, match="5 of 5"):
        both[5]
    with pytest.raises(ArgumentError, match="ConcatDataset"):
        ConcatDataset([])


def test_slices_of_a_subset():
    part = Subset(ArrayDataset(np.arange(10) * 2), [7, 1, 5, 3])
    assert part[1:3][0].tolist() == [2, 10] and part[[0, 3]][0].tolist() == [14, 6] and part[-1] == (6,)


@pytest.mark.parametrize("n, k", [(10, 3), (12, 4), (7, 7)])
def test_every_sample_is_held_out_once(n, k):
    labels = np.arange(n) % 2
    folds = k_fold(ArrayDataset(labels), k, stratify=labels if n == 12 else None, generator=mg.Generator(0))
    assert sorted(i for _, fold in folds for i in fold.indices) == list(range(n))
    for training, fold in folds:
        assert sorted([*training.indices, *fold.indices]) == list(range(n))
        assert n // k <= len(fold) <= n // k + 1
        assert n != 12 or abs(labels[fold.indices].sum() - 1.5) <= 0.5
    with pytest.raises(ArgumentError, match="k_fold"):
        k_fold(ArrayDataset(labels), n + 1)

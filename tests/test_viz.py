"""Pictures: what is drawn is where it should be, and what cannot be drawn is refused."""

import numpy as np
import pytest

from minigrad import viz
from minigrad.errors import ArgumentError, ShapeError
from minigrad.viz.images import GAP, tiled

matplotlib = pytest.importorskip("matplotlib")
Image = pytest.importorskip("PIL.Image")


def ink(path):
    """The greyness of a PNG, 0 white to 1 black."""
    with Image.open(path) as file:
        return 1 - np.asarray(file.convert("L"), np.float64) / 255


def test_tiles_lie_row_by_row():
    pictures = np.arange(1, 6)[:, None, None] * np.ones((5, 3, 4))
    canvas = tiled(pictures, 2)
    assert canvas.shape == (3 * 3 + 2 * GAP, 2 * 4 + GAP)
    for i in range(5):
        y, x = i // 2 * (3 + GAP), i % 2 * (4 + GAP)
        assert (canvas[y : y + 3, x : x + 4] == i + 1).all()
    assert (canvas[3 : 3 + GAP] == 0).all() and (canvas[-3:, -4:] == 0).all()  # the gap, and the place left over


def test_image_grid_draws_ink_where_there_is_some(tmp_path):
    images = np.zeros((4, 1, 8, 8), np.float32)
    images[3] = 1.0  # below, right
    drawn = ink(viz.image_grid(images, tmp_path / "a.png", columns=2))
    ys, xs = np.nonzero(drawn > 0.9)
    assert ys.min() > 0.4 * drawn.shape[0] and xs.min() > 0.4 * drawn.shape[1]
    assert len(ys) > 0.1 * drawn.size


def test_image_grid_in_colour_and_with_names(tmp_path):
    red = np.zeros((2, 3, 4, 4))
    red[:, 0] = 1
    path = viz.image_grid(red, tmp_path / "a.png", columns=2, row_names=["one"], column_names=["a", "b"], title="red")
    with Image.open(path) as file:
        colours = np.asarray(file.convert("RGB")).reshape(-1, 3)
    assert (colours == [255, 0, 0]).all(axis=1).mean() > 0.05


def test_heat_maps_are_dark_where_the_heat_is(tmp_path):
    images = np.zeros((2, 8, 8))
    heat = np.zeros((2, 2, 2))  # coarser: every value is a block of 4 x 4
    heat[:, 1] = [[1, 2], [100, 200]]  # each picture by its own largest
    drawn = ink(viz.heat_maps(images, {"heat": heat}, tmp_path / "a.png"))
    darkest = 1 - matplotlib.colormaps["Greys"](0.7)[0]
    block = np.abs(drawn - darkest) < 0.01  # of the largest value of each picture
    ys, xs = np.flatnonzero(block.sum(axis=1) > 20), np.flatnonzero(block.sum(axis=0) > 20)
    assert len(ys) > 20 and ys.min() > 0.6 * drawn.shape[0]  # in the lower half of the second row
    assert np.count_nonzero(np.diff(xs) > 1) == 1 and len(xs) == pytest.approx(2 * len(ys), abs=4)  # two squares


def test_other_pictures_are_written(tmp_path):
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.ones(4), (2, 3))
    paths = [
        viz.attention_map(weights, tmp_path / "a.png", queries=list("abc"), keys=list("wxyz"), title="attention"),
        viz.attention_map(weights[0], tmp_path / "b.png"),
        viz.lines({"one": ([1, 10], [0, 1]), "two": ([2, 20], [1, 0])}, tmp_path / "c.png", x="x", y="y", log=True),
        viz.labelled_points(rng.normal(size=(20, 2)), np.arange(20) % 3, tmp_path / "d.png"),
        viz.learning_curves({"train_loss": [2.0, 1.0], "train_accuracy": [0.5, 0.6]}, tmp_path / "e.png"),
    ]
    assert all(ink(path).max() > 0.5 for path in paths)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda p: viz.image_grid(np.zeros((3, 2, 4, 4)), p), ShapeError, "must be"),
        (lambda p: viz.image_grid(np.zeros((0, 4, 4)), p), ShapeError, "there must be a picture"),
        (lambda p: viz.image_grid(np.zeros((3, 4, 4)), p, columns=0), ArgumentError, "positive"),
        (lambda p: viz.image_grid(np.zeros((3, 4, 4)), p, row_names=["a", "b"]), ShapeError, "one name per row, 1"),
        (lambda p: viz.heat_maps(np.zeros((3, 3, 4, 4)), {}, p), ShapeError, "must be grey"),
        (lambda p: viz.heat_maps(np.zeros((3, 4, 4)), {"h": np.zeros((3, 3, 4))}, p), ShapeError, "that divide 4"),
        (lambda p: viz.heat_maps(np.zeros((3, 4, 4)), {"h": np.zeros((2, 4, 4))}, p), ShapeError, "must be \\(3, H"),
        (lambda p: viz.attention_map(np.zeros(3), p), ShapeError, "\\(T, S\\)"),
        (lambda p: viz.attention_map(np.zeros((2, 3)), p, keys=["a"]), ShapeError, "one name per key, 3"),
        (lambda p: viz.lines({}, p, x="", y=""), ArgumentError, "1 to 4 series"),
        (lambda p: viz.lines({"a": ([1], [1, 2])}, p, x="", y=""), ShapeError, "as many x as y"),
        (lambda p: viz.labelled_points(np.zeros((3, 2)), np.array([0, 1, 2]), p, names="ab"), ShapeError, "each class"),
        (lambda p: viz.labelled_points(np.zeros((3, 3)), np.zeros(3, int), p), ShapeError, "points \\(N, 2\\)"),
    ],
)
def test_what_cannot_be_drawn_is_refused(tmp_path, call, error, says):
    with pytest.raises(error, match=says):
        call(tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()

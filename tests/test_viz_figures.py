"""Figures for notebooks: what is drawn has the right numbers, and is read by its labels."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn, viz
from minigrad.errors import ArgumentError, ShapeError

pytest.importorskip("matplotlib")


def test_a_figure_is_returned_and_a_path_written(tmp_path):
    figure = viz.lines({"a": ([0, 1], [1, 2])}, x="x", y="y")
    assert figure._repr_png_().startswith(b"\x89PNG")
    path = viz.lines({"a": ([0, 1], [1, 2])}, tmp_path / "a.png", x="x", y="y")
    assert path == tmp_path / "a.png" and path.read_bytes().startswith(b"\x89PNG")


def test_tensors_with_gradients_are_drawn():
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    (line,) = viz.lines({"a": (x, x * x)}, x="x", y="y").axes[0].lines
    assert line.get_ydata().tolist() == [1.0, 4.0]
    assert viz.image_grid(mg.ones((2, 4, 4), requires_grad=True)).axes


def test_histograms_count_weights_and_gradients():
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2, bias=False))
    model[0].weight.requires_grad = False
    model(mg.ones((5, 3))).sum().backward()
    figure = viz.histograms(model)
    left, right = figure.axes[0::2], figure.axes[1::2]
    assert [axes.get_ylabel() for axes in left] == ["0.weight", "0.bias", "1.weight"]
    assert [sum(bar.get_height() for bar in axes.patches) for axes in left] == [12, 4, 8]
    assert [sum(bar.get_height() for bar in axes.patches) for axes in right] == [0, 4, 8]
    assert right[0].texts[0].get_text() == "no gradient"
    assert f"std {model[1].weight.numpy().std():.2g}" in left[2].get_title(loc="right")
    assert len(viz.histograms(model, gradients=False).axes) == 3


def test_histograms_say_what_is_zero_or_not_finite():
    (axes,) = viz.histograms({"x": np.array([0, 0, 1.0, np.nan, np.inf])}).axes
    assert axes.get_title(loc="right").endswith("40% are 0, 2 not finite")
    assert sum(bar.get_height() for bar in axes.patches) == 3


def test_filters_of_one_scale_white_to_black():
    weight = np.zeros((3, 1, 2, 2))
    weight[0, 0, 0, 0], weight[2, 0, 1, 1] = -2.0, 1.0
    axes, bar = viz.filters(weight, columns=2).axes
    (image,) = axes.images
    assert image.get_clim() == (-2.0, 2.0)
    assert bar.get_ylim() == (-2.0, 2.0)
    pixels = image.get_array().filled(np.nan)
    assert pixels[0, 0] == -2.0 and np.nanmax(pixels) == 1.0
    assert np.isnan(pixels[-1, -1])  # no fourth filter
    assert len(axes.patches) == 3  # frames


def test_filters_of_colour_and_of_many_channels(rng):
    colour = viz.filters(rng.normal(size=(5, 3, 4, 4))).axes[0].images[0].get_array()
    assert colour.shape[-1] == 3 and colour.min() == 0.0
    rows = viz.filters(rng.normal(size=(5, 4, 3, 3))).axes[0]
    assert len(rows.patches) == 20 and len({p.get_x() for p in rows.patches}) == 4  # a column for each channel


def test_feature_maps_take_one_sample():
    maps = mg.arange(8, dtype=mg.float32).reshape(1, 2, 2, 2)
    image = viz.feature_maps(maps).axes[0].images[0]
    assert image.get_clim() == (0.0, 7.0)
    with pytest.raises(ShapeError, match=r"those of one sample: got \(3, 2, 2, 2\). Pass activations\[i\]"):
        viz.feature_maps(np.zeros((3, 2, 2, 2)))


@pytest.mark.parametrize("pointwise", [True, False])
def test_loss_surface_is_f_and_paths_lie_on_it(pointwise):
    def f(a, b):
        if not pointwise:
            assert a.ndim == 0
        return (a - 1) ** 2 + 2 * b**2

    paths = {"descent": [(0.0, 1.0), (0.5, 0.5), (1.0, 0.0)]}
    figure = viz.loss_surface(f, (-1, 3), (-2, 2), paths, grid=21, minimum=(1, 0))
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["minimum", "descent, 2 steps"]
    track = next(line for line in axes.lines if len(line.get_xdata()) == 3)
    assert track.get_ydata().tolist() == [1.0, 0.5, 0.0]
    contours = axes.collections[1]
    level = list(contours.levels).index(4.0)
    points = contours.get_paths()[level].vertices
    assert ((points[:, 0] - 1) ** 2 + 2 * points[:, 1] ** 2) == pytest.approx(4.0, abs=0.1)


def test_loss_surface_of_a_logarithm():
    figure = viz.loss_surface(lambda a, b: a**2 + b**2, (-1, 1), (-1, 1), log=True, grid=21)
    assert len(figure.axes[0].collections[0].levels) > 5


def test_activations_and_their_derivatives():
    figure = viz.activations({"tanh": mg.tanh, "relu": mg.relu, "step": lambda x: (x > 0).astype("float64")})
    tanh, relu, step = (axes.lines[2:] for axes in figure.axes)
    x = tanh[0].get_xdata()
    assert tanh[0].get_ydata() == pytest.approx(np.tanh(x)) and tanh[1].get_ydata() == pytest.approx(
        1 - np.tanh(x) ** 2
    )
    assert relu[1].get_ydata().tolist() == (x > 0).tolist()
    assert not step[1].get_ydata().any()
    assert [line.get_linestyle() for line in tanh] == ["-", "--"]


def test_bars_tell_contenders_apart_without_colour():
    figure = viz.bars({"a": {"numpy": 2.0, "numba": 1.0}, "b": {"numba": 3.0}}, unit="microseconds")
    (axes,) = figure.axes
    assert [bar.get_width() for bar in axes.patches] == [2.0, 1.0, 3.0]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["a", "b"]
    assert [t.get_text() for t in axes.get_legend().get_texts()] == ["numpy", "numba"]
    assert axes.get_xlabel() == "microseconds"
    styles = {(bar.get_facecolor(), bar.get_hatch()) for bar in axes.patches}
    assert len(styles) == 2 and axes.patches[1].get_facecolor() == axes.patches[2].get_facecolor()


def test_regions_of_several_classes():
    points = np.array([[0.0, 0], [2, 0], [0, 2], [2, 2]])
    figure = viz.decision_boundary(lambda p: -mg.stack([(p[:, 0] - a) ** 2 for a in (0, 1, 2)], axis=1), points,
                                   [0, 2, 0, 2])  # fmt: skip
    lines = [path.vertices for c in figure.axes[0].collections[1:] for path in c.get_paths()]
    xs = np.unique(np.concatenate([v[:, 0] for v in lines if len(v)]).round(1))
    assert {0.5, 1.5} <= set(xs.tolist())
    with pytest.raises(ShapeError, match=r"scores \(B, 1\) or \(B, K\)"):
        viz.decision_boundary(lambda p: p.sum(), points, [0, 1, 0, 1])


def test_lines_take_logarithmic_axes():
    for log, scales in {True: ("log", "linear"), "y": ("linear", "log"), "xy": ("log", "log")}.items():
        axes = viz.lines({"a": ([1, 10], [1, 10])}, x="x", y="y", log=log).axes[0]
        assert (axes.get_xscale(), axes.get_yscale()) == scales


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: viz.histograms({}), ArgumentError, "no parameters"),
        (lambda: viz.filters(np.zeros((3, 3))), ShapeError, r"\(O, C, H, W\)"),
        (lambda: viz.loss_surface(lambda a, b: a, (0, 1), (0, 1), {"p": [1.0, 2.0]}), ShapeError, r"\(N, 2\) points"),
        (lambda: viz.loss_surface(lambda a, b: a, (0, 1), (0, 1), {k: [(0, 0)] for k in "abcde"}), ArgumentError,
         "at most 4 paths"),
        (lambda: viz.bars({}), ArgumentError, "got none"),
        (lambda: viz.activations({}), ArgumentError, "at least one"),
        (lambda: viz.lines({"a": ([1], [1])}, x="", y="", log="z"), ArgumentError, "log must be"),
    ],
)  # fmt: skip
def test_what_cannot_be_drawn_is_refused(call, error, says):
    with pytest.raises(error, match=says):
        call()


# ---- what notebooks show ---------------------------------------------------------------------------------------------


def test_tensor_in_a_notebook():
    x = mg.tensor([1.0, 2.5], requires_grad=True)
    html = x._repr_html_()
    assert all(word in html for word in ("shape (2,)", "float32", "on cpu", "requires a gradient, grad None", "2.5"))
    (x * x).sum().backward()
    assert "grad (2,)" in x._repr_html_() and "computed by multiply" in (x * x)._repr_html_()
    large = mg.arange(10000, dtype=mg.float32)._repr_html_()
    assert "..." in large and "max 9999" in large and len(large) < 1000
    assert "2 not finite" in mg.tensor([np.nan, np.inf, *[0.0] * 8])._repr_html_()
    assert "<b>Parameter</b>" in nn.Parameter([1.0])._repr_html_()
    assert "all not finite" in mg.tensor([np.nan] * 9)._repr_html_()


def test_tensor_inside_a_transform_has_no_picture():
    seen = []
    mg.func.vmap(lambda x: seen.append(x._repr_html_()) or x)(mg.ones((2, 3)))
    assert seen == [None]


def test_module_in_a_notebook():
    model = nn.Sequential(nn.Linear(4, 3), nn.Sequential(nn.ReLU(), nn.Linear(3, 3)))
    html = model._repr_html_()
    assert "27 parameters; training mode" in html
    assert html.count("<details") == 2 and html.count("<summary>") == 2
    assert "Linear(in_features=4, out_features=3, bias=True)" in html and "weight (3, 4), bias (3,)" in html
    assert ">15</span>" in html and ">12</span>" in html and ">27</span>" in html
    model[0].weight.requires_grad = False
    assert "12 of them frozen; evaluation mode" in model.eval()._repr_html_()


def test_shared_parameters_count_once_in_a_notebook():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.out = nn.Embedding(10, 4), nn.Linear(4, 10, bias=False)
            self.out.weight = self.embed.weight

    html = Tied()._repr_html_()
    assert "40 parameters" in html and "0 (shared)" in html


def test_names_are_escaped():
    class Odd(nn.Module):
        def extra_repr(self):
            return "<script>"

    assert "<script>" not in Odd()._repr_html_()

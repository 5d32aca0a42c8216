"""The drawn computation graph: the boxes are what was recorded, values and gradients are right, nothing overlaps."""

import itertools
import re
import shutil
import xml.etree.ElementTree as ET

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn, viz
from minigrad.errors import ArgumentError, GradError
from minigrad.viz.graph import Drawing, Style
from minigrad.viz.layered import crossings, placed, ranks
from minigrad.viz.recorded import Recorded

SVG = "{http://www.w3.org/2000/svg}"
LAYOUTS = [False, pytest.param(True, marks=pytest.mark.skipif(not shutil.which("dot"), reason="needs Graphviz"))]


def by_title(graph):
    return {box.title: box for box in graph.boxes}


def texts(graph):
    return ["".join(t.itertext()) for t in ET.fromstring(graph.svg).iter(f"{SVG}text")]


def shared():
    """f = e + a a, e = c d, d = a + c, c = a b: a is used four times."""
    a, b = mg.tensor(2.0, requires_grad=True), mg.tensor(-3.0, requires_grad=True)
    c = a * b
    d = a + c
    e = c * d
    return a, b, c, d, e, e + a * a


def test_boxes_are_the_operations_named_as_the_variables():
    a, b, c, d, e, f = shared()  # noqa: RUF059  drawn under these names
    graph = viz.graph(f)
    titles = [box.title for box in graph.boxes]
    assert titles == ["a", "b", "c = multiply", "d = add", "e = multiply", "multiply", "f = add"]
    assert [box.inputs for box in graph.boxes] == [[], [], [0, 1], [0, 2], [2, 3], [0, 0], [4, 5]]
    assert [float(box.value) for box in graph.boxes] == [2, -3, -6, -4, 24, 4, 28]
    assert "7 operations" not in repr(graph) and "5 operations" in repr(graph)
    assert all(any(title == text for text in texts(graph)) for title in titles)


def test_gradients_are_those_of_backward_and_grad_is_untouched():
    a, b, c, d, e, f = shared()
    graph = viz.graph(f, backward=True)
    assert a.grad is None and b.grad is None
    boxes = by_title(graph)
    for t in (c, d, e):
        t.retain_grad()
    f.backward()  # the graph is still there
    for name, t in {"a": a, "b": b, "c = multiply": c, "d = add": d, "e = multiply": e}.items():
        assert boxes[name].gradient == t.grad.numpy()
    # what the uses of a hand to it: c: b dc, d: dd, and a twice from a a
    gifts = [float(g) for box in graph.boxes for j, g in zip(box.inputs, box.hands) if graph.boxes[j].title == "a"]
    assert gifts == [30.0, -6.0, 2.0, 2.0] and sum(gifts) == a.grad.item()


def test_what_is_kept_is_counted_once():
    x = mg.ones((50, 20))
    w = mg.ones((20, 30), requires_grad=True)
    h = mg.tanh(x @ w)  # matmul keeps x, tanh its output
    graph = viz.graph((h * h).sum())  # multiply keeps h twice, the same array
    boxes = by_title(graph)
    assert boxes["matmul"].keeps == [("x", 50 * 20 * 4)]
    assert boxes["h = tanh"].keeps == [("its output", 50 * 30 * 4)]
    assert graph.saved_bytes == (50 * 20 + 50 * 30) * 4
    assert any("keeps x: 4 kB" in text for text in texts(graph))
    assert any("10 kB" in text for text in texts(graph))
    layer = nn.Linear(3, 2)
    y = layer(mg.ones((1, 3), requires_grad=True))
    assert viz.graph(y).saved_bytes == 0  # the weight and x are leaves: they are there anyway


def test_freed_graph_is_drawn_and_says_so():
    *_, f = shared()
    f.backward()
    graph = viz.graph(f)
    assert "freed by backward()" in texts(graph) and graph.saved_bytes == 0
    with pytest.raises(GradError, match="retain_graph"):
        viz.graph(f, backward=True)


def test_values_that_nobody_holds_are_computed_again():
    w = mg.tensor(0.5, requires_grad=True)
    graph = viz.graph(mg.tanh(w * 3.0 + w) - 1.0)
    values = {box.title: float(box.value) for box in graph.boxes if box.value is not None}
    assert values["multiply"] == 1.5 and values["add"] == 2.0
    assert values["tanh"] == pytest.approx(np.tanh(2)) and values["subtract"] == pytest.approx(np.tanh(2) - 1)


def test_parameters_bear_their_paths_and_labels_are_constants():
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    labels = mg.tensor([0, 1])
    loss = F.cross_entropy(model(mg.ones((2, 4))), labels)
    kinds = {box.title: box.kind for box in viz.graph(loss, params=model).boxes}
    assert {name for name, kind in kinds.items() if kind == "leaf"} == set(model.state_dict())
    assert kinds["labels"] == "constant" and kinds["cross_entropy"] == "fused" and kinds["loss = mean"] == "operation"
    other = {"first": model[0].weight}
    assert "first" in by_title(viz.graph(loss, params=other))
    with pytest.raises(ArgumentError, match="'no' is no Tensor"):
        viz.graph(loss, params={"no": 3})


def test_lists_of_tensors_are_named_by_index():
    w = [mg.tensor(v, requires_grad=True) for v in (1.0, 2.0)]
    assert {"w[0]", "w[1]"} <= set(by_title(viz.graph(w[0] * w[1])))


def test_several_outputs_of_one_operation_are_one_box():
    x = mg.ones((4, 6), requires_grad=True)
    a, b = x.split(3, 1)
    graph = viz.graph((a * b).sum(), backward=True)
    (split,) = (box for box in graph.boxes if box.op == "split")
    assert split.shape == ((4, 3), (4, 3))
    assert sum(box.op == "multiply" for box in graph.boxes) == 1


def test_bodies_of_fused_operations():
    x = mg.randn(4, 8, requires_grad=True)
    graph = viz.graph(F.layer_norm(x, (8,)).sum(), bodies=True)
    (norm,) = (box for box in graph.boxes if box.op == "layer_norm")
    inner = [box.op for box in norm.inside.boxes]
    assert inner.count("mean") == 2 and "rsqrt" in inner and "subtract" in inner
    assert "rsqrt" in texts(graph) and "rsqrt" not in texts(viz.graph(F.layer_norm(x, (8,)).sum()))


@pytest.mark.parametrize("graphviz", LAYOUTS)
@pytest.mark.parametrize("style", ["plain", "backward", "steps", "bodies"])
def test_nothing_overlaps_and_arrows_go_down(style, graphviz):
    mg.manual_seed(1)
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, dropout=0.0)
    loss = (layer(mg.randn(2, 3, 8)) ** 2).mean()
    recorded = Recorded([loss], layer.named_parameters(), gradients=style == "backward", bodies=style == "bodies")
    drawing = Drawing(recorded, Style(True, style == "backward", style == "steps", graphviz))
    places = drawing.places
    boxes = [(x - w / 2, y - h / 2, x + w / 2, y + h / 2) for (x, y), (w, h) in zip(places.centres, drawing.sizes)]
    for a, b in itertools.combinations(boxes, 2):
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
    for left, top, right, bottom in boxes:
        assert -0.5 <= left < right <= places.width + 0.5 and -0.5 <= top < bottom <= places.height + 0.5
    for (a, b), route in zip(drawing.edges, drawing.routes):
        assert boxes[a][3] == pytest.approx(route[0][1]) and boxes[b][1] == pytest.approx(route[-1][1])
        assert boxes[a][0] < route[0][0] < boxes[a][2] and boxes[b][0] < route[-1][0] < boxes[b][2]
        assert route[0][1] < route[-1][1] and len(route) % 3 == 1
    for lines, (w, h) in zip(drawing.lines, drawing.sizes):  # the text fits its box
        assert all(len(line.text) * line.size * 0.6 < w for line in lines) and len(lines) * 13 < h


def test_svg_is_one_file_without_scripts(tmp_path):
    *_, f = shared()
    graph = viz.graph(f, steps=True)
    path = graph.save(tmp_path / "graph.svg")
    assert path.read_text() == graph.svg == graph._repr_svg_()
    root = ET.fromstring(graph.svg)
    assert root.tag == f"{SVG}svg" and {e.tag.removeprefix(SVG) for e in root.iter()} <= {
        "svg", "style", "rect", "g", "title", "path", "text"
    }  # fmt: skip
    assert "http" not in graph.svg.replace("http://www.w3.org/2000/svg", "")


def test_animation_shows_values_in_order_then_gradients():
    a, b, c, d, e, f = shared()  # noqa: RUF059  drawn under these names
    graph = viz.animate_backward(f)
    assert graph.svg == viz.graph(f, steps=True).svg
    root = ET.fromstring(graph.svg)
    step = {}
    for element in root.iter(f"{SVG}text"):
        text = "".join(element.itertext())
        if found := re.search(r"mg\d+-from-(\d+)", element.get("style", "")):
            step.setdefault(text, int(found[1]))
            assert element.get("opacity") is None  # legible where nothing moves
    forward = ["= 2", "= -6", "= -4", "= 24", "= 4", "= 28"]
    arrival = ["grad 1", "grad -6", "grad -10", "grad -20"]
    assert step["= -3"] == step["= 2"]  # the leaves come together
    assert [step[t] for t in forward] == sorted({step[t] for t in forward})
    assert [step[t] for t in arrival] == sorted({step[t] for t in arrival})
    assert step["= 28"] < step["grad 1"] and step["grad 28"] == max(step.values())
    frames = set(re.findall(r"@keyframes mg\d+-from-(\d+)", graph.svg))
    assert {str(k) for k in step.values()} <= frames
    assert any(text == "backward: multiply received -10 and hands 30 to a, -20 to b" for text in texts(graph))
    assert any(text == "forward: add(24, 4) = 28" for text in texts(graph))


def test_only_the_gradients_way():
    *_, f = shared()
    assert "stroke-dasharray" not in viz.graph(f).svg
    graph = viz.graph(f, forward=False, backward=True)
    assert "grad 28" in texts(graph) and "= 28" not in texts(graph)
    assert graph.svg.count('stroke-dasharray="5 3"') == 10


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: viz.graph(mg.ones(2)), "Create a leaf with requires_grad=True"),
        (lambda: viz.animate_backward(mg.ones(2)), "no recorded graph"),
        (lambda: viz.graph(mg.ones(2, requires_grad=True) * 2, backward=True), r"got \(2,\). Pass loss.sum\(\)"),
    ],
)
def test_what_cannot_be_drawn_is_refused(call, says):
    with pytest.raises(GradError, match=says):
        call()


def test_deep_graph():
    x = mg.tensor(1.0, requires_grad=True)
    y = x
    for _ in range(1500):
        y = y * 1.001
    graph = viz.graph(y, graphviz=False)
    assert len(graph.boxes) == 1501 + 1500  # each with its constant
    assert float(graph.boxes[-1].value) == pytest.approx(y.item())


# ---- layout ----------------------------------------------------------------------------------------------------------


def test_ranks_are_longest_paths_and_sources_stand_by_what_they_feed():
    edges = [(0, 1), (1, 2), (0, 2), (3, 2), (2, 4)]
    assert ranks(5, edges) == [0, 1, 2, 1, 3]


def test_crossings_are_counted_as_by_hand(rng):
    for _ in range(20):
        upper, lower = list(range(5)), list(range(5, 11))
        below = [sorted(rng.choice(lower, 3, replace=False).tolist()) for _ in upper] + [[] for _ in lower]
        rng.shuffle(upper)
        rng.shuffle(lower)
        edges = [(upper.index(a), lower.index(b)) for a in upper for b in below[a]]
        expected = sum((a - c) * (b - d) < 0 for (a, b), (c, d) in itertools.combinations(edges, 2))
        assert crossings([upper, lower], below) == expected


def test_untangles_what_can_be_untangled():
    """Two chains whose boxes alternate: without care they cross at every rank."""
    edges = [(0, 3), (1, 2), (2, 5), (3, 4), (4, 7), (5, 6)]
    places = placed([(40, 20)] * 8, edges, graphviz=False)
    left = places.centres[0][0] < places.centres[1][0]
    assert all((places.centres[a][0] < places.centres[b][0]) == left for a, b in ((3, 2), (4, 5), (7, 6)))
    assert all(places.centres[a][0] == pytest.approx(places.centres[b][0]) for a, b in edges)  # straight


def test_empty_layout():
    assert placed([], [], graphviz=False).centres == []

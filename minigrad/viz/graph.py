"""The computation graph as a picture: an SVG file, drawn here, that any browser shows; animated without JavaScript."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import GradError
from ..io import atomic_write
from ..tensor import Tensor
from .layered import Placement, Point, placed
from .recorded import Box, Recorded, named_tensors

INK, GREY, PALE = "#000000", "#777777", "#e6e6e6"
FONT = "ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
BIG, LESS = 12.0, 10.5  # sizes of the text, in pixels
ADVANCE = 0.605  # the width of a character of that font, in its size
MARGIN = 14.0
STEP = 0.8  # seconds an animation spends on one operation
HOLD = 4.0  # and at its end


class Graph:
    """A drawn graph. A notebook shows it; ``save`` writes it; ``boxes`` are what was drawn."""

    def __init__(self, svg: str, boxes: list[Box], saved_bytes: int):
        self.svg, self.boxes, self.saved_bytes = svg, boxes, saved_bytes

    def _repr_svg_(self) -> str:
        return self.svg

    def save(self, path: str | os.PathLike) -> Path:
        return atomic_write(path, self.svg.encode())

    def __repr__(self) -> str:
        count = sum(box.kind in ("operation", "fused") for box in self.boxes)
        return f"<Graph of {count} operations, which keep {_bytes(self.saved_bytes)} for the gradient>"


def graph(
    output: Tensor | Sequence[Tensor],
    *,
    params: Any = None,
    forward: bool = True,
    backward: bool = False,
    steps: bool = False,
    bodies: bool = False,
    graphviz: bool | None = None,
) -> Graph:
    """Draw what was recorded to compute `output`, inputs at the top: each operation with its shape and dtype, and what
    it keeps for the gradient, in bytes.

    params: a Module, or {name: Tensor}, whose names leaves bear; beside those, Tensors and Modules are called as the
    caller's variables are. Values and gradients of up to four elements are written out, of larger gradients the norm.
    forward: arrows from inputs to results, and values. backward: dashed arrows from results to inputs, with gradients;
    the output must be a scalar that backward() has not been called on yet, and no ``.grad`` is touched.
    steps: an animation, first the values in the order of the computation, then the gradients in theirs.
    bodies: fused operations as groups, with the operations they are made of (where their inputs are known).
    graphviz: lay it out with the program `dot`; None: where it is installed.

    >>> x, w = Tensor(3.0), Tensor(2.0, requires_grad=True)
    >>> graph((w * x).tanh())
    <Graph of 2 operations, which keep 8 bytes for the gradient>
    """
    outputs = [output] if isinstance(output, Tensor) else list(output)
    if any(t.node is None for t in outputs):
        raise GradError(
            "graph: this tensor has no recorded graph: none of its inputs requires a gradient, or it was computed "
            "under no_grad(). Create a leaf with requires_grad=True, and compute outside no_grad()."
        )
    scalar = len(outputs) == 1 and outputs[0].size == 1
    caller = sys._getframe(1)
    named = named_tensors(params, {**caller.f_globals, **caller.f_locals})
    return _drawn(outputs, named, forward or steps, backward or (steps and scalar), steps, bodies, graphviz)


def animate_backward(output: Tensor, *, params: Any = None, graphviz: bool | None = None) -> Graph:
    """Draw backpropagation step by step, for small graphs of scalars: values appear in the order of the computation,
    then the gradients arrive, from the output to the leaves. As ``graph(output, steps=True)``."""
    if output.node is None:
        return graph(output)  # says why there is none
    caller = sys._getframe(1)
    named = named_tensors(params, {**caller.f_globals, **caller.f_locals})
    return _drawn([output], named, True, True, True, False, graphviz)


def _drawn(
    outputs: Sequence[Tensor],
    named: Sequence[tuple[str, Tensor]],
    forward: bool,
    backward: bool,
    steps: bool,
    bodies: bool,
    graphviz: bool | None,
) -> Graph:
    recorded = Recorded(outputs, named, values=forward, gradients=backward, bodies=bodies)
    style = Style(forward, backward, steps, graphviz)
    drawing = Drawing(recorded, style)
    return Graph(drawing.svg(), recorded.boxes, recorded.saved_bytes)


class Style(NamedTuple):
    forward: bool
    backward: bool
    steps: bool
    graphviz: bool | None


class Line(NamedTuple):
    """A line of text in a box, and the step of the animation in which it appears."""

    text: str
    size: float
    color: str = INK
    bold: bool = False
    step: int | None = None


class Drawing:
    """A graph laid out: `width` by `height`, and its parts as SVG elements."""

    def __init__(self, recorded: Recorded, style: Style, *, inner: bool = False):
        self.recorded, self.style, self.boxes = recorded, style, recorded.boxes
        self.inside: dict[int, Drawing] = {
            i: Drawing(box.inside, Style(True, False, False, style.graphviz), inner=True)
            for i, box in enumerate(self.boxes)
            if box.inside is not None
        }
        self.inner = inner
        self._number_steps()
        self.lines = [self._lines(i, box) for i, box in enumerate(self.boxes)]
        self.sizes = [self._size(i) for i in range(len(self.boxes))]
        self.edges = [(a, b) for b, box in enumerate(self.boxes) for a in box.inputs]
        self.places: Placement = placed(self.sizes, self.edges, graphviz=style.graphviz)
        self.routes = self._spread(self.places.routes)
        self.width, self.height = self.places.width, self.places.height

    # -- what a box says -------------------------------------------------------------------------------------------
    def _number_steps(self) -> None:
        """forward_step[i], backward_step[i]: when the value of box i appears, and when it hands its gradient on."""
        operations = [i for i, box in enumerate(self.boxes) if box.inputs]
        self.forward_step = {i: 1 + k for k, i in enumerate(operations)}  # the leaves come together, in step 0
        first = 1 + len(operations)
        self.backward_step = {i: first + 1 + k for k, i in enumerate(reversed(operations))}
        self.steps = first + (1 + len(operations) if self.style.backward else 0)
        # the gradient of a box is complete when the last of those that use it has handed on its own
        self.gradient_step = dict.fromkeys(self.recorded.outputs, first)
        for i in operations:
            for j in self.boxes[i].inputs:
                self.gradient_step[j] = max(self.gradient_step.get(j, first), self.backward_step[i])

    def _lines(self, i: int, box: Box) -> list[Line]:
        lines = [Line(box.title, BIG, bold=True)]
        if self.style.steps:  # of small numbers: only what moves
            if box.shape:
                lines.append(Line(_shape(box), LESS, GREY))
        elif box.shape is not None:
            lines.append(Line(_shape(box), LESS, GREY))
        if box.freed:
            lines.append(Line("freed by backward()", LESS, GREY))
        elif box.keeps and not self.style.steps:
            names = ", ".join(name for name, _ in box.keeps)
            lines.append(Line(f"keeps {names}: {_bytes(sum(n for _, n in box.keeps))}", LESS))
        if self.style.forward and box.value is not None:
            lines.append(Line(f"= {_number(box.value)}", BIG, step=self.forward_step.get(i, 0)))
        if self.style.backward and box.gradient is not None:
            small = box.gradient.size <= 4
            text = f"grad {_number(box.gradient)}" if small else f"|grad| {np.linalg.norm(box.gradient):.3g}"
            lines.append(Line(text, BIG, GREY, bold=True, step=self.gradient_step.get(i)))
        return lines

    def _size(self, i: int) -> tuple[float, float]:
        lines = self.lines[i]
        width = max(len(line.text) * line.size for line in lines) * ADVANCE + 18
        height = sum(line.size * 1.35 for line in lines) + 10
        if i in self.inside:
            width = max(width, self.inside[i].width + 2 * MARGIN)
            height += self.inside[i].height + MARGIN
        return max(width, 46.0), height

    def _spread(self, routes: Sequence[Sequence[Point]]) -> list[list[Point]]:
        """Arrows that meet at a box side by side, in the order they come from."""
        moved = [list(route) for route in routes]
        for end, k in ((1, -1), (0, 0)):  # the heads, then the tails
            at: dict[int, list[int]] = {}
            for e, edge in enumerate(self.edges):
                at.setdefault(edge[end], []).append(e)
            for box, meeting in at.items():
                near = -3 if k else 2  # the control point that says where the edge comes from
                meeting.sort(key=lambda e: (moved[e][near][0], e))
                room = min(22.0, (self.sizes[box][0] - 16) / len(meeting))
                for place, e in enumerate(meeting):
                    shift = (place - (len(meeting) - 1) / 2) * room
                    for p in (k, -2 if k else 1):
                        x, y = moved[e][p]
                        moved[e][p] = (x + shift, y)
        return moved

    # -- elements --------------------------------------------------------------------------------------------------
    def elements(self) -> list[str]:
        arrows = [part for e in range(len(self.edges)) for part in self._arrow(e)]
        return arrows + [self._box(i) for i in range(len(self.boxes))]

    def _box(self, i: int) -> str:
        box, (w, h), (x, y) = self.boxes[i], self.sizes[i], self.places.centres[i]
        left, top = x - w / 2, y - h / 2
        fill = PALE if box.kind == "leaf" else "#ffffff"
        edge = f'stroke="{GREY}" stroke-dasharray="4 3"' if box.kind == "constant" else f'stroke="{INK}"'
        thick = 2.6 if i in self.recorded.outputs and not self.inner else 1.1
        round_ = 3 if box.inputs else h / 4
        parts = [_rect(left, top, w, h, round_, f'fill="{fill}" {edge} stroke-width="{thick}"')]
        if box.kind == "fused":
            parts.append(_rect(left + 3, top + 3, w - 6, h - 6, 2, f'fill="none" stroke="{INK}" stroke-width="0.7"'))
        if self.style.steps:
            for step in (self.forward_step.get(i, 0 if box.value is not None else None), self.backward_step.get(i)):
                if step is not None and (step < self.steps):
                    around = f'fill="none" stroke="{GREY}" stroke-opacity="0.5" stroke-width="5" opacity="0"'
                    around += self._moves("at", step)
                    parts.append(_rect(left - 5, top - 5, w + 10, h + 10, 7, around))
        baseline = top + 5
        for line in self.lines[i]:
            baseline += line.size * 1.35
            parts.append(_text(x, baseline - 3, line, self._from(line.step)))
        if i in self.inside:
            inner = self.inside[i]
            at = f"translate({_f(x - inner.width / 2)} {_f(baseline + MARGIN / 2)})"
            parts.append(f'<g transform="{at}">{"".join(inner.elements())}</g>')
        about = f"{box.op}{': ' + box.about if box.about else ''}"
        return f"<g><title>{escape(about)}</title>{''.join(parts)}</g>"

    def _arrow(self, e: int) -> list[str]:
        a, b = self.edges[e]
        route, constant = self.routes[e], self.boxes[a].kind == "constant"
        parts = []
        both = self.style.forward and self.style.backward and not constant
        if self.style.forward or constant:
            shown = self._from(self.forward_step[b])
            parts.append(_path(_moved(route, -4 if both else 0), GREY if constant else INK, "", True, shown))
        if self.style.backward and not constant:
            shown = self._from(self.backward_step[b])
            back = _moved(route, 4 if both else 0)[::-1]
            parts.append(_path(back, GREY, ' stroke-dasharray="5 3"', False, shown))
            hands, position = self.boxes[b].hands, [k for k, q in enumerate(self.boxes[b].inputs) if q == a]
            several = sum(a in box.inputs for box in self.boxes) > 1 or len(position) > 1
            rank = [f for f in range(len(self.edges)) if self.edges[f] == (a, b)].index(e)
            g = hands[position[rank]] if hands else None
            if several and g is not None and g.size == 1:  # a sum arrives: what each adds to it
                start = back[0][0] + 5, back[0][1] - 11
                parts.append(_text(*start, Line(_number(g), LESS, GREY), shown, anchor="start", halo=True))
        return parts

    # -- time ------------------------------------------------------------------------------------------------------
    def _from(self, step: int | None) -> str:
        """The style of what appears in a step and stays."""
        return self._moves("from", step) if self.style.steps and step is not None else ""

    def _moves(self, how: str, step: int) -> str:
        return f' style="animation-name:mg{self.steps}-{how}-{step}"'

    def _keyframes(self) -> str:
        """When what appears. Names hold the number of steps: graphs on one page that share a name share its times."""
        name, total = f"mg{self.steps}", self.steps * STEP + HOLD
        rules = [
            f'[style*="{name}-"]{{animation-duration:{total:.1f}s;animation-iteration-count:infinite}}',
            f'@media(prefers-reduced-motion:reduce){{[style*="{name}-"]{{animation:none!important}}}}',
        ]
        for k in range(self.steps):
            start, end = 100 * k * STEP / total, 100 * (k + 1) * STEP / total
            soon = start + (end - start) / 4
            hidden = f"0%,{start:.2f}%" if k else "0%"
            rules += [
                f"@keyframes {name}-from-{k}{{{hidden}{{opacity:.06}}{soon:.2f}%,100%{{opacity:1}}}}",
                f"@keyframes {name}-at-{k}{{{hidden}{{opacity:0}}{start + 0.02:.2f}%,{end - 0.02:.2f}%{{opacity:1}}"
                f"{end:.2f}%,100%{{opacity:0}}}}",
            ]
        return "<style>" + "".join(rules) + "</style>"

    def _said(self) -> dict[int, str]:
        """What happens in each step, in words."""
        boxes = self.boxes
        said = {0: "forward: the leaves have their values"}
        for i, step in self.forward_step.items():
            operands = ", ".join(_short(boxes[j]) for j in boxes[i].inputs)
            value = boxes[i].value
            said[step] = f"forward: {boxes[i].op}({operands})" + (f" = {_number(value)}" if value is not None else "")
        if self.style.backward:
            said[1 + len(self.forward_step)] = "backward: the gradient of the output for itself is 1"
            for i, step in self.backward_step.items():
                box = boxes[i]
                given = [f"{_number(g)} to {_short(boxes[j], named=True)}"
                         for j, g in zip(box.inputs, box.hands) if g is not None]  # fmt: skip
                received = f" received {_number(box.gradient)} and" if box.gradient is not None else ""
                said[step] = f"backward: {box.op}{received} hands {', '.join(given) or 'on what its rule says'}"
        return said

    # -- the whole -------------------------------------------------------------------------------------------------
    def svg(self) -> str:
        said = self._said() if self.style.steps else {}
        legend = self._legend()
        texts = [*legend, *said.values()]
        width = max([self.width, *(len(text) * LESS * ADVANCE for text in texts)]) + 2 * MARGIN
        y = self.height + 2 * MARGIN
        words: list[str] = []
        if said:
            y += BIG
            words += [
                _text(MARGIN, y, Line(text, LESS, bold=True), ' opacity="0"' + self._moves("at", step), anchor="start")
                for step, text in said.items()
            ]
            y += BIG
        for text in legend:
            y += LESS * 1.4
            words.append(_text(MARGIN, y, Line(text, LESS, GREY), anchor="start"))
        height = y + MARGIN
        shift = f"translate({_f((width - self.width) / 2)} {_f(MARGIN)})"
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_f(width)}" height="{_f(height)}" '
            f'viewBox="0 0 {_f(width)} {_f(height)}" font-family="{FONT}">'
            + (self._keyframes() if said else "")
            + f'<rect width="100%" height="100%" fill="#ffffff"/><g transform="{shift}">'
            + "".join(self.elements())
            + "</g>"
            + "".join(words)
            + "</svg>"
        )

    def _legend(self) -> list[str]:
        kinds = {box.kind for box in self.boxes}
        words = ["grey: leaves, whose gradient is asked for"]
        words += ["dashed: constants"] * ("constant" in kinds) + ["double frame: fused operations"] * ("fused" in kinds)
        lines = ["; ".join(words)]
        if not self.style.steps:
            lines.append(f"kept for the gradient, each array once, without leaves: {_bytes(self.recorded.saved_bytes)}")
        if self.style.backward:
            lines.append("dashed arrows: the gradient's way" + ("; grad: dL/dvalue, summed" * self.style.steps))
        return lines


# ---- elements of SVG -------------------------------------------------------------------------------------------------


def _rect(x: float, y: float, w: float, h: float, round_: float, rest: str) -> str:
    return f'<rect x="{_f(x)}" y="{_f(y)}" width="{_f(w)}" height="{_f(h)}" rx="{_f(round_)}" {rest}/>'


def _text(x: float, y: float, line: Line, rest: str = "", *, anchor: str = "middle", halo: bool = False) -> str:
    weight = ' font-weight="bold"' if line.bold else ""
    paper = ' stroke="#ffffff" stroke-width="3" paint-order="stroke"' if halo else ""
    return (
        f'<text x="{_f(x)}" y="{_f(y)}" font-size="{line.size}" fill="{line.color}" text-anchor="{anchor}"'
        f"{weight}{paper}{rest}>{escape(line.text)}</text>"
    )


def _path(route: Sequence[Point], color: str, dashes: str, down: bool, rest: str) -> str:
    """A curve with an arrow head at its end."""
    (x, y), curve = route[-1], " ".join(f"{_f(px)},{_f(py)}" for px, py in route[1:])
    back = -7 if down else 7
    head = f"M{_f(x)},{_f(y)}l-3.5,{back}h7z"
    return (
        f'<g fill="none" stroke="{color}"{rest}><path d="M{_f(route[0][0])},{_f(route[0][1])}C{curve}" '
        f'stroke-width="1.1"{dashes}/><path d="{head}" fill="{color}" stroke="none"/></g>'
    )


def _moved(route: Sequence[Point], dx: float) -> list[Point]:
    return [(x + dx, y) for x, y in route]


def _f(v: float) -> str:
    return f"{v:.1f}".removesuffix(".0")


# ---- words -----------------------------------------------------------------------------------------------------------


def _shape(box: Box) -> str:
    if box.shape and isinstance(box.shape[0], tuple):  # several outputs
        return " ".join(str(shape).replace(" ", "") for shape in box.shape)
    return f"{box.shape} {box.dtype}" if box.shape else f"scalar {box.dtype}"


def _short(box: Box, *, named: bool = False) -> str:
    """A box as an operand: its value, if known; else, or if wished, its name."""
    if box.value is not None and not named:
        return _number(box.value)
    return box.name or box.op


def _number(value: np.ndarray) -> str:
    if value.dtype.kind not in "fc":
        return str(value.tolist())
    numbers = [f"{v:.4g}" for v in value.ravel().tolist()]
    return numbers[0] if value.ndim == 0 else "[" + ", ".join(numbers) + "]"


def _bytes(n: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if n < 1000 or unit == "GB":
            return f"{n:.3g} {unit}" if unit != "bytes" else f"{n:.0f} bytes"
        n /= 1000
    return ""

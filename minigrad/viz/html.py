"""How notebooks show a Tensor and a Module: HTML, with nothing but elements and inline styles."""

from __future__ import annotations

from html import escape

import numpy as np

from ..nn.module import Module
from ..tensor import Tensor

MONO = "font-family:ui-monospace,Menlo,Consolas,monospace;font-size:12px"


def tensor_html(t: Tensor) -> str | None:
    """Kind, shape, dtype, device and gradient in a line; below it the values, abbreviated where they are many."""
    if hasattr(t.array, "level"):  # inside a function transform: there are no numbers of its own
        return None
    words = [
        f"<b>{type(t).__name__}</b>",
        f"shape {t.shape}",
        str(t.dtype),
        f"on {t.device}",
        f"{t.size:,} elements" if t.size != 1 else "1 element",
        _gradient(t),
    ]
    x = t.detach().numpy()
    edge = 3 if x.ndim < 3 else 1
    body = escape(np.array2string(x, separator=", ", precision=5, threshold=60, edgeitems=edge, max_line_width=100))
    if x.size > 8 and x.dtype.kind in "fiu":
        body += "\n" + escape(statistics(x))
    return f'<div style="{MONO}">{" &middot; ".join(words)}</div><pre style="{MONO};margin:4px 0 0 12px">{body}</pre>'


def statistics(x: np.ndarray) -> str:
    """min, mean, std and max of the finite elements, and how many are not."""
    finite = x[np.isfinite(x)].astype(np.float64)
    if not finite.size:
        return "all not finite"
    bad = x.size - finite.size
    words = f"min {finite.min():.4g}, mean {finite.mean():.4g}, std {finite.std():.4g}, max {finite.max():.4g}"
    return words + f", {bad:,} not finite" * bool(bad)


def _gradient(t: Tensor) -> str:
    if t.node is None:
        return "no gradient"
    if not t.is_leaf:
        return f"computed by {escape(t.node.name)}"
    return "requires a gradient" + (f", grad {t.grad.shape}" if t.grad is not None else ", grad None")


def module_html(module: Module) -> str:
    """A line for each part: its name, how many parameters are in it, its type and options, and the shapes of its own
    parameters; parts of parts fold away."""
    parameters = list(module.parameters())
    frozen = sum(p.size for p in parameters if not p.requires_grad)
    words = f"{sum(p.size for p in parameters):,} parameters" + f", {frozen:,} of them frozen" * bool(frozen)
    about = f"{words}; {'training' if module.training else 'evaluation'} mode"
    style = f"{MONO};white-space:nowrap;overflow-x:auto"
    return f'<div style="{style}"><div>{about}</div>{_part("", module, set(), depth=0)}</div>'


def _part(name: str, module: Module, seen: set[int], *, depth: int) -> str:
    """A line, which unfolds if the module has parts. seen: the ids of the parameters counted further up."""
    own, parts = dict(module.named_parameters(recurse=False)), list(module.named_children())
    new = {id(p): p.size for p in module.parameters() if id(p) not in seen}
    shared = len({id(p) for p in module.parameters()}) - len(new)
    count = f"{sum(new.values()):,}" + " (shared)" * (shared and not new) if new or shared else ""
    options = " ".join(module.extra_repr().split())
    kind = type(module).__name__ + (f"({escape(options)})" if options else "")
    shapes = ", ".join(f"{key} {p.shape}" for key, p in own.items())
    line = (
        _column(f"<b>{escape(name)}</b>", 14, "left") * bool(name)
        + _column(count, 11, "right")
        + kind
        + f'&emsp;<span style="color:#777777">{shapes}</span>'
    )
    if not parts:
        seen.update(new)
        return f'<div style="padding-left:2ch">{line}</div>'
    seen.update(map(id, own.values()))
    inner = "".join(_part(child, part, seen, depth=depth + 1) for child, part in parts)
    opened = " open" * (depth < 2)
    return f'<details{opened}><summary>{line}</summary><div style="padding-left:2ch">{inner}</div></details>'


def _column(text: str, width: int, align: str) -> str:
    return f'<span style="display:inline-block;min-width:{width}ch;padding-right:2ch;text-align:{align}">{text}</span>'

"""TensorBoard's files from training loops written by hand: tensorboardX's writer, which takes minigrad's tensors.

`minigrad.train.TensorBoard` writes a Trainer's figures and needs no package.
"""

from __future__ import annotations

from typing import Any

from ..errors import ArgumentError
from ..extras import require
from ..func.tree import tree_map
from ..tensor import Tensor


def _host(value: Any) -> Any:
    return value.detach().cpu().numpy() if isinstance(value, Tensor) else value


def SummaryWriter(log_dir: str | None = None, comment: str = "", **options: Any) -> Any:
    """A writer with torch.utils.tensorboard's methods: add_scalar, add_scalars, add_histogram, add_image, add_figure,
    add_text, add_hparams, add_embedding ... Arguments may be tensors, also within dicts and lists.

    log_dir: the folder, of a new name under runs/ if None. options: those of tensorboardX.SummaryWriter. add_graph is
    not there: ``minigrad.onnx.export`` writes a file which add_onnx_graph reads.
    """
    writer = require("tensorboardX", extra="train", use="SummaryWriter").SummaryWriter(log_dir, comment, **options)
    for name in dir(writer):
        if name.startswith("add_"):
            setattr(writer, name, _converted(getattr(writer, name)))
    writer.add_graph = _add_graph
    return writer


def _converted(method: Any) -> Any:
    def add(*args: Any, **options: Any) -> Any:
        return method(*tree_map(_host, args), **tree_map(_host, options))

    add.__name__, add.__doc__ = method.__name__, method.__doc__
    return add


def _add_graph(model: Any, *args: Any, **options: Any) -> None:
    raise ArgumentError(
        "SummaryWriter.add_graph: it reads PyTorch's modules only. minigrad.onnx.export(model, x, path) and "
        "add_onnx_graph(path) show a model's graph, minigrad.viz.graph(y) that of a tensor."
    )

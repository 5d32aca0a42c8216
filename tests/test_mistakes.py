"""The mistakes beginners make: each is an error, or a warning, whose text alone says what to do.

``python tests/test_mistakes.py`` writes MISTAKES.md, the same table with the texts as they come.
"""

import ast
import re
import sys
import textwrap
import warnings
from pathlib import Path
from typing import NamedTuple

import pytest

import minigrad as mg
from minigrad import mistakes
from minigrad.errors import MinigradError

ROOT = Path(__file__).parent.parent
TITLE = """# Mistakes that everybody makes

Each of these programs runs into an error or a warning of minigrad, printed below it as it comes. A warning comes once
for each line of a program, as `minigrad.MistakeWarning`, which Python's `warnings` can silence or make an error. The
table is made by `python tests/test_mistakes.py`, and the tests run every program in it.
"""
ALWAYS = """
import numpy as np
import minigrad as mg
from minigrad import nn, optim
import minigrad.nn.functional as F
"""


class Mistake(NamedTuple):
    """names: what the text must hold: the operation, what came, and what to do."""

    what: str
    code: str
    remedy: str
    names: tuple[str, ...]
    kind: str = "error"


MISTAKES = [
    # -- gradients
    Mistake("Editing in place what the gradient needs",
            """
            w = mg.tensor([1.0, 2.0], requires_grad=True)
            y = w.exp()
            y += 1
            y.sum().backward()
            """, "y = y + 1", ("exp", "saved its output", "add at <program>:3", "x.clone()")),
    Mistake("Changing a parameter in place while its gradient is recorded",
            """
            w = mg.tensor([1.0, 2.0], requires_grad=True)
            w -= 0.1
            """, "with mg.no_grad(): w -= 0.1", ("subtract", "leaf", "no_grad()", "x.clone()")),
    Mistake("Changing `.data` between forward and backward",
            """
            w = mg.tensor([1.0, 2.0], requires_grad=True)
            loss = (w * w).sum()
            w.data[0] = 5.0
            loss.backward()
            """, "edit before the forward pass, or after backward()",
            ("multiply", "setitem at <program>:3", "overwrote it", "x.clone()")),
    Mistake("Forgetting zero_grad: gradients of all steps add up",
            """
            w = mg.tensor([1.0, 2.0], requires_grad=True)
            optimizer = optim.SGD([w], lr=0.1)
            for _ in range(3):
                (w * w).sum().backward()
                optimizer.step()
            """, "optimizer.zero_grad() before backward()", ("SGD.step", "(2,)", "zero_grad() before backward()"),
            "warning"),
    Mistake("Asking a computed tensor for its `.grad`",
            """
            w = mg.tensor([1.0, 2.0], requires_grad=True)
            h = w * 2
            h.sum().backward()
            h.grad
            """, "h.retain_grad() before backward()", ("computed (by multiply)", "only leaves", ".retain_grad()"),
            "warning"),
    Mistake("Calling backward twice",
            """
            w = mg.tensor([1.0, 2.0], requires_grad=True)
            loss = (w * w).sum()
            loss.backward()
            loss.backward()
            """, "run the forward again, or retain_graph=True", ("freed by an earlier", "retain_graph=True")),
    Mistake("Carrying the state of a recurrent network from step to step with its graph",
            """
            w, h = mg.tensor([0.5, 0.5], requires_grad=True), mg.zeros(2)
            for _ in range(2):
                h = mg.tanh(h * w + 1)
                h.sum().backward()
            """, "h = h.detach() at the end of a step", ("tanh", "carries a state on", "h = h.detach()")),
    Mistake("backward of something that is no scalar",
            """
            w = mg.tensor([1.0, 2.0], requires_grad=True)
            (w * w).backward()
            """, "loss.mean().backward()", ("only a scalar", "this tensor is (2,)", ".sum()", ".mean()")),
    Mistake("A loss that no parameter has part in",
            """
            F.mse_loss(mg.ones(3), mg.zeros(3)).backward()
            """, "compute the loss from the model's output", ("does not depend", "requires_grad=True")),
    Mistake("Computing the loss under no_grad",
            """
            w = mg.tensor([1.0, 2.0], requires_grad=True)
            with mg.no_grad():
                loss = (w * w).sum()
            loss.backward()
            """, "no_grad for evaluation only", ("under no_grad()", "enable_grad()")),
    Mistake("Asking integers for a gradient",
            """
            mg.tensor([1, 2], requires_grad=True)
            """, "mg.tensor([1.0, 2.0], ...)", ("only floats", "got int64", ".astype('float32')")),
    Mistake("A NumPy function on a tensor that takes part in a gradient",
            """
            w = mg.tensor([1.0, 2.0], requires_grad=True)
            np.asarray(w)
            """, "w.detach().numpy(), or minigrad's own function", ("numpy", "would lose it", "x.detach().numpy()")),
    Mistake("A function of Python's math on a tensor",
            """
            import math
            math.exp(mg.tensor([1.0, 2.0]))
            """, "mg.exp(x)", ("float", "exactly one element", "(2,)", "mg.exp(x)")),
    Mistake("A learning rate that is too large",
            """
            w = mg.tensor([1.0], requires_grad=True)
            optimizer = optim.SGD([w], lr=1e30)
            for _ in range(3):
                optimizer.zero_grad()
                (w**4).sum().backward()
                optimizer.step()
            """, "a smaller learning rate; clip gradients", ("must be finite", "it is inf", "Lower the learning rate",
                                                            "detect_anomaly"), "warning"),
    Mistake("The logarithm of 0",
            """
            p = mg.tensor([0.0, 1.0], requires_grad=True)
            loss = -mg.log(p).sum()
            loss.backward()
            """, "log(p + 1e-8), or log_softmax", ("must be finite", "log, sqrt and division away from 0"), "warning"),
    # -- shapes
    Mistake("An axis that is not there",
            """
            mg.ones((4, 3)).sum(axis=2)
            """, "axes count from 0", ("sum", "axis 2 of a 2-d array", "-2 to 1")),
    Mistake("Matrices that do not fit",
            """
            mg.ones((2, 3)) @ mg.ones((4, 3))
            """, "a @ b.mT", ("matmul", "(2, 3)", "(4, 3)", "b.mT")),
    Mistake("Layers that do not fit",
            """
            model = nn.Sequential(nn.Linear(3, 10), nn.ReLU(), nn.Linear(12, 4))
            model(mg.ones((2, 3)))
            """, "in_features of a layer = out_features before it",
            ("in_features", "(2, 10)", "(4, 12)", "10 != 12", "Sequential.2")),
    Mistake("A linear layer on images that were not flattened",
            """
            model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Linear(4 * 26 * 26, 10))
            model(mg.ones((2, 1, 28, 28)))
            """, "nn.Flatten() before it", ("(2, 4, 26, 26)", "26 != 2704", "flatten", "Sequential.1")),
    Mistake("Predictions (N, 1) and targets (N,) in a loss",
            """
            F.mse_loss(mg.ones((8, 1)), mg.ones(8))
            """, "target[:, None]", ("mse_loss", "(8, 1) and (8,)", "target.reshape((8, 1))")),
    Mistake("Predictions (N, 1) minus targets (N,), by hand",
            """
            model, x, target = nn.Linear(3, 1), mg.randn(8, 3), mg.randn(8)
            ((model(x) - target) ** 2).mean().backward()
            """, "target[:, None]", ("subtract", "(8, 1) and (8,)", "(8, 8)", "target[:, None]"), "warning"),
    Mistake("One picture without the axes of batch and channel",
            """
            nn.Conv2d(1, 4, 3)(mg.ones((28, 28)))
            """, "x[None, None]", ("conv2d", "(B, C, H, W)", "(28, 28)", "x[None, None, ...]")),
    Mistake("A batch of grey pictures without the channel axis",
            """
            nn.Conv2d(1, 4, 3)(mg.ones((64, 28, 28)))
            """, "x[:, None]", ("Conv2d", "in_channels=1", "(64, 28, 28)", "x[:, None]")),
    Mistake("Pictures with the channels last",
            """
            nn.Conv2d(3, 4, 3)(mg.ones((2, 32, 32, 3)))
            """, "x.permute(0, 3, 1, 2)", ("Conv2d", "in_channels=3", "(2, 32, 32, 3)", "x.permute(0, 3, 1, 2)")),
    Mistake("Taking a number from many elements",
            """
            loss = F.mse_loss(mg.ones(3), mg.zeros(3), reduction="none")
            loss.item()
            """, "loss.mean().item()", ("item", "exactly one element", "(3,)", "reduce first")),
    Mistake("A tensor as a condition",
            """
            if mg.ones(3) > 0:
                pass
            """, "(x > 0).all()", ("bool", "3 elements", ".any() or .all()")),
    # -- losses and labels
    Mistake("softmax before cross_entropy",
            """
            model = nn.Sequential(nn.Linear(3, 5), nn.Softmax(dim=1))
            F.cross_entropy(model(mg.randn(8, 3)), mg.zeros(8, dtype="int64"))
            """, "leave softmax out", ("cross_entropy", "scores (logits)", "output of softmax", "Leave softmax out"),
            "warning"),
    Mistake("softmax before nll_loss",
            """
            scores = nn.Linear(3, 5)(mg.randn(8, 3))
            F.nll_loss(F.softmax(scores, dim=1), mg.zeros(8, dtype="int64"))
            """, "log_softmax, or cross_entropy", ("nll_loss", "log-probabilities", "log_softmax"), "warning"),
    Mistake("sigmoid before binary_cross_entropy_with_logits",
            """
            scores = nn.Linear(3, 1)(mg.randn(8, 3))
            F.binary_cross_entropy_with_logits(mg.sigmoid(scores), mg.ones((8, 1)))
            """, "leave sigmoid out", ("with_logits", "output of sigmoid", "Leave sigmoid out"), "warning"),
    Mistake("Scores in binary_cross_entropy",
            """
            F.binary_cross_entropy(mg.tensor([2.0, -1.0]), mg.tensor([1.0, 0.0]))
            """, "binary_cross_entropy_with_logits", ("probabilities", "-1 to 2", "binary_cross_entropy_with_logits")),
    Mistake("Labels that are floats",
            """
            F.cross_entropy(mg.randn(2, 3), mg.tensor([0.0, 1.0]))
            """, "labels.astype('int64')", ("class indices must be integers", "float32", ".astype('int64')")),
    Mistake("Labels that are one-hot",
            """
            F.cross_entropy(mg.randn(2, 3), mg.tensor([[0, 1, 0], [1, 0, 0]]))
            """, "labels.argmax(1)", ("class indices must be (2,)", "got (2, 3)", "argmax(1)")),
    Mistake("Labels from 1 to K",
            """
            F.cross_entropy(mg.randn(2, 3), mg.tensor([1, 3]))
            """, "labels - 1", ("from 0 to", "got 3", "count from 0")),
    Mistake("Tokens that are floats",
            """
            nn.Embedding(10, 4)(mg.tensor([1.0, 2.0]))
            """, "tokens.astype('int64')", ("embedding", "integers", "float32", ".astype('int64')")),
    # -- modules and optimizers
    Mistake("Layers in a plain list",
            """
            class Net(nn.Module):
                def __init__(self):
                    super().__init__()
                    self.layers = [nn.Linear(2, 2), nn.Linear(2, 2)]
                    self.out = nn.Linear(2, 1)

            optim.SGD(Net().parameters(), lr=0.1)
            """, "nn.ModuleList(layers)", ("Net.layers", "plain list", "nn.ModuleList(layers)"), "warning"),
    Mistake("An optimizer without parameters",
            """
            model = nn.Linear(2, 2)
            parameters = model.parameters()
            print(sum(p.size for p in parameters))
            optim.SGD(parameters, lr=0.1)
            """, "call model.parameters() again", ("SGD", "empty parameter list", "a generator", "nn.ModuleList")),
    Mistake("An optimizer given the model",
            """
            optim.SGD(nn.Linear(2, 2), lr=0.1)
            """, "model.parameters()", ("SGD", "got Linear", "Pass model.parameters()")),
    Mistake("An optimizer given what was computed",
            """
            w = mg.tensor([1.0, 2.0], requires_grad=True)
            optim.SGD([w * 2], lr=0.1)
            """, "give it the leaf", ("SGD", "must be leaves", "(2,)", "by multiply", "computed from")),
    Mistake("An optimizer made before the parameters were replaced",
            """
            model = nn.Linear(2, 2, bias=False)
            optimizer = optim.SGD(model.parameters(), lr=0.1)
            model.weight = nn.Parameter(mg.ones((2, 2)))
            model(mg.ones((1, 2))).sum().backward()
            optimizer.step()
            """, "make the optimizer last (model.to() and model.double() keep the parameters)",
            ("SGD.step", "no parameter has a gradient", "replaced by new ones"), "warning"),
    Mistake("step before backward",
            """
            optimizer = optim.SGD(nn.Linear(2, 2).parameters(), lr=0.1)
            optimizer.step()
            """, "loss.backward() first", ("SGD.step", "nothing changed", "Was backward() called"), "warning"),
    Mistake("The scheduler before the optimizer",
            """
            optimizer = optim.SGD(nn.Linear(2, 2).parameters(), lr=0.1)
            optim.lr_scheduler.StepLR(optimizer, 10).step()
            """, "optimizer.step(), then scheduler.step()", ("StepLR.step", "optimizer.step() first"), "warning"),
    Mistake("Evaluating in training mode: dropout",
            """
            model = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5))
            with mg.no_grad():
                model(mg.ones((2, 3)))
            """, "model.eval()", ("dropout", "training only", "model.eval()", "model.train()"), "warning"),
    Mistake("Evaluating in training mode: batch normalisation",
            """
            model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
            with mg.no_grad():
                model(mg.ones((2, 3)))
            """, "model.eval()", ("BatchNorm1d", "training mode", "model.eval()", "model.train()"), "warning"),
    Mistake("A batch of one in training",
            """
            nn.BatchNorm1d(3)(mg.ones((1, 3)))
            """, "a larger batch, or model.eval()", ("batch_norm", "more than one value", "(1, 3)", "eval()")),
    Mistake("Float64 data in a float32 model",
            """
            nn.Linear(3, 4)(mg.tensor(np.ones((2, 3))))
            """, "x.astype('float32')", ("linear", "float32 and float64", "x.astype('float32')", "model.double()"),
            "warning"),
    Mistake("A state dict of another model",
            """
            nn.Linear(2, 3).load_state_dict(nn.Linear(3, 3).state_dict())
            """, "the same options", ("load_state_dict", "weight: (3, 3) for (3, 2)", "same options")),
    Mistake("A device that is not there",
            """
            mg.set_backend("abacus")
            """, "one of `minigrad info`", ("no backend 'abacus'", "Known:", "numpy")),
]  # fmt: skip


def outcome(mistake: Mistake) -> tuple[str, str]:
    """(type, text) of the error or warning that the program runs into."""
    mistakes.seen.clear()
    mg.manual_seed(0)
    space: dict = {"__name__": "program"}
    exec(ALWAYS, space)
    code = compile(textwrap.dedent(mistake.code).strip(), "<program>", "exec")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            exec(code, {**space, "print": lambda *words: None})
        except MinigradError as error:
            return type(error).__name__, "\n".join([str(error), *getattr(error, "__notes__", ())])
        finally:
            mistakes.seen.clear()
    ours = [w for w in caught if issubclass(w.category, UserWarning)]
    assert ours, "the program runs without a word"
    assert ours[0].filename == "<program>" or ours[0].category is UserWarning, "a warning points at the user's line"
    return ours[0].category.__name__, str(ours[0].message)


@pytest.mark.parametrize("mistake", MISTAKES, ids=[m.what for m in MISTAKES])
def test_text_names_the_operation_what_came_and_what_to_do(mistake):
    kind, text = outcome(mistake)
    assert kind.endswith("Warning" if mistake.kind == "warning" else "Error")
    missing = [name for name in mistake.names if name not in text]
    assert not missing, f"{missing} not in: {text}"


def test_there_are_thirty():
    assert len(MISTAKES) >= 30 and len({m.what for m in MISTAKES}) == len(MISTAKES)


def test_a_warning_comes_once_for_each_line():
    program = compile("for _ in range(3):\n    warn('a: b')\n    warn('c: d')\nwarn('a: b')", "<once>", "exec")
    mistakes.seen.clear()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        exec(program, {"warn": mistakes.warn_once})
    mistakes.seen.clear()
    assert [(str(w.message), w.lineno) for w in caught] == [("a: b", 2), ("c: d", 3), ("a: b", 4)]


RIGHT = {  # nothing is said about these
    "accumulation over batches": """
        w = mg.tensor([1.0], requires_grad=True)
        optimizer = optim.SGD([w], lr=0.1)
        for _ in range(4):
            optimizer.zero_grad()
            for _ in range(3):
                (w * w).sum().backward()
            optimizer.step()""",
    "two steps on one gradient": """
        w = mg.tensor([1.0], requires_grad=True)
        optimizer = optim.SGD([w], lr=0.1)
        (w * w).sum().backward()
        optimizer.step(), optimizer.step()""",
    "the gradient of a leaf before backward": "mg.tensor([1.0], requires_grad=True).grad",
    "all pairs on purpose": """
        x = mg.randn(5, requires_grad=True)
        ((x[:, None] - x[None, :]) ** 2).sum().backward()""",
    "softmax's own subtraction of a column": """
        x = mg.randn(5, 5, requires_grad=True)
        (x - x.max(axis=1, keepdims=True)).sum().backward()""",
    "a column less a row vector of another length": """
        x = mg.randn(5, 1, requires_grad=True)
        (x - mg.ones(4)).sum().backward()""",
    "evaluation": """
        model = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5), nn.BatchNorm1d(3)).eval()
        with mg.no_grad():
            model(mg.ones((2, 3)))""",
    "layers in a ModuleList, numbers in a list": """
        model = nn.Module()
        model.layers, model.sizes = nn.ModuleList([nn.Linear(2, 2)]), [2, 2]
        optim.SGD(model.parameters(), lr=0.1)""",
    "float64 throughout": "nn.Linear(3, 4).double()(mg.tensor(np.ones((2, 3))))",
}


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_gets_no_warning(name):
    mistakes.seen.clear()
    space: dict = {}
    exec(ALWAYS, space)
    exec(textwrap.dedent(RIGHT[name]), space)  # warnings are errors


def _is_code(text: str) -> bool:
    try:
        ast.parse(text)
    except SyntaxError:
        return False
    return True


def document() -> str:
    """MISTAKES.md."""
    rows, parts = [], []
    for i, mistake in enumerate(MISTAKES, 1):
        kind, text = outcome(mistake)
        anchor = re.sub(r"[^\w\- ]", "", f"{i}. {mistake.what}".lower()).replace(" ", "-")
        text = re.sub(r"Known: [\w, ]+", "Known: cupy, numba, numpy", text)  # tests register others
        remedy = f"`{mistake.remedy}`" if _is_code(mistake.remedy) else mistake.remedy
        rows.append(f"| [{i}](#{anchor}) | {mistake.what} | `{kind}` | {remedy} |")
        program = textwrap.dedent(mistake.code).strip()
        parts.append(f"## {i}. {mistake.what}\n\n```python\n{program}\n```\n\n```text\n{kind}: {text}\n```\n")
    head = "| | mistake | what you see | remedy |\n|---|---|---|---|\n"
    return f"{TITLE}\n{head}" + "\n".join(rows) + "\n\n" + "\n".join(parts)


@pytest.mark.skipif(not (ROOT / "MISTAKES.md").exists(), reason="needs the source tree")
def test_the_document_is_of_today():
    assert (ROOT / "MISTAKES.md").read_text() == document(), "run: python tests/test_mistakes.py"


if __name__ == "__main__":
    (ROOT / "MISTAKES.md").write_text(document())
    sys.exit()

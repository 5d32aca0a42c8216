"""A WaveNet, a stack of causal dilated convolutions, that learns to write Shakespeare letter by letter.

van den Oord et al. 2016, arXiv:1609.03499: dilations that double from layer to layer make what the output sees grow
exponentially with the depth; gates (equation 2), residual and skip connections (figure 4). There on samples of sound;
here on characters, as the gpt-shakespeare recipe, whose data, figure and way of writing this one shares.
"""

from .. import nn, optim
from ..data import DataLoader, RandomSampler
from ..nn import functional as F
from ..tensor import Tensor
from ..train import ClipGradients, LRSchedule, Trainer
from .gpt_shakespeare import data, loss
from .gpt_shakespeare import generate as generate
from .gpt_shakespeare import test as test
from .run import Run

DEFAULTS = {
    "epochs": 10, "steps": 150, "batch_size": 16, "lr": 3e-3, "weight_decay": 0.01,
    "stacks": 2, "dilations": 6, "width": 64, "skip": 128, "time": 128,
}  # fmt: skip
SMOKE = {"steps": 3, "stacks": 1, "dilations": 3, "width": 8, "skip": 8, "time": 16}


class Layer(nn.Module):
    """y = tanh(W_f * x) sigmoid(W_g * x), where * sees places t and t - dilation; gives x + W_r y and W_s y."""

    def __init__(self, width: int, skip: int, dilation: int):
        super().__init__()
        self.width, self.dilation = width, dilation
        self.filter_gate = nn.Conv1d(width, 2 * width, 2, dilation=dilation)
        self.residual_skip = nn.Conv1d(width, width + skip, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        c = self.width
        both = self.filter_gate(F.pad(x, (self.dilation, 0)))  # (B, 2 C, T): zeros stand before the start
        both = self.residual_skip(F.tanh(both[:, :c]) * F.sigmoid(both[:, c:]))  # (B, C + S, T)
        return x + both[:, :c], both[:, c:]


class WaveNet(nn.Module):
    """(B, T) numbers to (B, T, K): at every place the scores of what comes next."""

    def __init__(self, tokens: int, *, stacks: int, dilations: int, width: int, skip: int, time: int):
        super().__init__()
        self.time = time
        self.token = nn.Embedding(tokens, width)
        self.layers = nn.Sequential(*[Layer(width, skip, 2**i) for _ in range(stacks) for i in range(dilations)])
        self.mixed, self.scores = nn.Linear(skip, skip), nn.Linear(skip, tokens)

    @property
    def sees(self) -> int:
        """The receptive field: how many characters, the last one included, a score depends on."""
        return 1 + sum(layer.dilation for layer in self.layers)

    def forward(self, x: Tensor) -> Tensor:
        h, skips = self.token(x).mT, []  # (B, C, T)
        for layer in self.layers:
            h, skip = layer(h)
            skips.append(skip)  # (B, S, T)
        y = F.relu(sum(skips[1:], skips[0]).mT)  # (B, T, S)
        return self.scores(F.relu(self.mixed(y)))


def network(run: Run) -> WaveNet:
    sizes = {name: run.options[name] for name in ("stacks", "dilations", "width", "skip", "time")}
    return WaveNet(len(run.notes["characters"]), **sizes)


def train(run: Run) -> None:
    training, validation = data(run)
    model = network(run)
    drawn = RandomSampler(training, num_samples=run.steps * run.batch_size)
    batches = DataLoader(training, run.batch_size, sampler=drawn, seed=run.seed)
    optimizer = optim.AdamW(model.parameters(), lr=run.lr, weight_decay=run.weight_decay)
    schedule = optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=run.lr, total_steps=run.epochs * run.steps, pct_start=0.1, cycle_momentum=False
    )
    trainer = Trainer(model, loss, optimizer, callbacks=[ClipGradients(1.0), LRSchedule(schedule)])
    print(f"every letter is told from the {model.sees} before it", flush=True)
    run.fit(trainer, batches, DataLoader(validation, 64))
    test(run, model)

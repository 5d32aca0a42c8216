"""A small GPT, a decoder-only transformer, that learns to write Shakespeare letter by letter.

The model is GPT-2's (Radford et al. 2019) at the size of nanoGPT's example for a CPU (Karpathy 2022).
"""

import numpy as np

from .. import nn, optim
from ..data import CharacterTokenizer, DataLoader, Dataset, RandomSampler, Subset, tiny_shakespeare
from ..mode import no_grad
from ..nn import functional as F
from ..random import Generator
from ..tensor import Tensor
from ..train import ClipGradients, LRSchedule, Trainer
from .run import Run

DEFAULTS = {
    "epochs": 10, "steps": 200, "batch_size": 12, "lr": 2e-3, "weight_decay": 0.1,
    "layers": 4, "width": 128, "heads": 4, "time": 64, "dropout": 0.0,
}  # fmt: skip
SMOKE = {"steps": 3, "layers": 1, "width": 16, "time": 16}


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)). (B, T, C) to (B, T, C)."""

    def __init__(self, width: int, heads: int, dropout: float):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.norm1, self.norm2 = nn.LayerNorm(width, bias=False), nn.LayerNorm(width, bias=False)
        self.queries_keys_values = nn.Linear(width, 3 * width, bias=False)
        self.attended = nn.Linear(width, width, bias=False)
        self.wide = nn.Linear(width, 4 * width, bias=False)
        self.narrow = nn.Linear(4 * width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop(self.attend(self.norm1(x)))
        return x + self.drop(self.narrow(F.gelu(self.wide(self.norm2(x)))))

    def attend(self, x: Tensor) -> Tensor:
        """Every place looks at itself and at the places before it, with `heads` heads."""
        b, t, c = x.shape
        q, k, v = (
            part.reshape(b, t, self.heads, c // self.heads).transpose(1, 2)  # (B, H, T, D)
            for part in self.queries_keys_values(x).split(c, -1)
        )
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True, dropout_p=self.dropout if self.training else 0.0)
        return self.attended(y.transpose(1, 2).reshape(b, t, c))

    def drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training)


class GPT(nn.Module):
    """(B, T) numbers to (B, T, K): at every place the scores of what comes next."""

    def __init__(self, tokens: int, *, layers: int, width: int, heads: int, time: int, dropout: float):
        super().__init__()
        self.time = time
        self.token = nn.Embedding(tokens, width)
        self.place = nn.Embedding(time, width)
        self.blocks = nn.Sequential(*[Block(width, heads, dropout) for _ in range(layers)])
        self.norm = nn.LayerNorm(width, bias=False)
        self.scores = nn.Linear(width, tokens, bias=False)
        self.scores.weight = self.token.weight  # one table for reading and writing (Press, Wolf 2017)
        for name, p in self.named_parameters():
            if p.ndim == 2:  # small weights; those that end a branch smaller still, as each adds to the sum of all
                nn.init.normal_(p, 0.0, 0.02 / (2 * layers) ** 0.5 if "attended" in name or "narrow" in name else 0.02)

    def forward(self, x: Tensor) -> Tensor:
        return self.scores(self.norm(self.blocks(self.token(x) + self.place.weight[: x.shape[1]])))


class Windows(Dataset):
    """Every stretch of a text, each with itself one character later: what comes next, at every place."""

    def __init__(self, text: np.ndarray, length: int):
        self.text, self.length = text, length

    def __len__(self) -> int:
        return len(self.text) - self.length

    def batch(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rows = self.text[indices[:, None] + np.arange(self.length + 1)]  # (B, T + 1)
        return rows[:, :-1], rows[:, 1:]


def data(run: Run) -> tuple[Windows, Dataset]:
    """The first nine tenths to learn from; the rest, stretch by stretch, to validate."""
    text = tiny_shakespeare()
    letters = CharacterTokenizer.of(text)
    run.notes = letters.to_dict()
    numbers = np.array(letters.encode(text), np.int64)
    cut = int(0.9 * len(numbers))
    held_out = Windows(numbers[cut:], run.time)
    return Windows(numbers[:cut], run.time), run.few(Subset(held_out, range(0, len(held_out), run.time)))


def network(run: Run) -> GPT:
    sizes = {name: run.options[name] for name in ("layers", "width", "heads", "time", "dropout")}
    return GPT(len(run.notes["characters"]), **sizes)


def loss(scores: Tensor, following: Tensor) -> Tensor:
    """Nats per character. scores: (B, T, K); following: (B, T)."""
    return F.cross_entropy(scores.reshape(-1, scores.shape[-1]), following.reshape(-1))


def train(run: Run) -> None:
    training, validation = data(run)
    model = network(run)
    batches = DataLoader(
        training, run.batch_size, sampler=RandomSampler(training, num_samples=run.steps * run.batch_size), seed=run.seed
    )
    decayed = [p for p in model.parameters() if p.ndim == 2]
    groups = [{"params": decayed}, {"params": [p for p in model.parameters() if p.ndim < 2], "weight_decay": 0.0}]
    optimizer = optim.AdamW(groups, lr=run.lr, betas=(0.9, 0.99), weight_decay=run.weight_decay)
    schedule = optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=run.lr, total_steps=run.epochs * run.steps, pct_start=0.05, cycle_momentum=False
    )
    trainer = Trainer(model, loss, optimizer, callbacks=[ClipGradients(1.0), LRSchedule(schedule)])
    run.fit(trainer, batches, DataLoader(validation, 64))
    test(run, model)


def test(run: Run, model: nn.Module) -> None:
    nats = Trainer(model, loss).evaluate(DataLoader(data(run)[1], 64))["loss"]
    sample = generate(run, model, "\n", 60 if run.smoke else 500, 0.8)
    run.path("sample", "sample.txt").write_text(sample + "\n")
    print(sample)
    run.report("validation loss", nats, "nats per character", digits=4, sample=sample)


def generate(run: Run, model: nn.Module, prompt: str, length: int, temperature: float) -> str:
    """The prompt and `length` characters more, each drawn from softmax(scores / temperature)."""
    letters = CharacterTokenizer.from_dict(run.notes)
    generator, numbers = Generator(run.seed), letters.encode(prompt)
    with no_grad():
        for _ in range(length):
            scores = model.eval()(Tensor(np.array([numbers[-model.time :]])))[0, -1]  # (K,)
            p = F.softmax(scores / temperature, dim=-1).numpy().astype(np.float64)
            numbers.append(int(generator.numpy("choice", len(p), p=p / p.sum())))
    return letters.decode(numbers)

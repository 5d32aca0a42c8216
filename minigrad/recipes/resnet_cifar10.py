"""A residual network with batch normalisation (ResNet, He et al. 2015, arXiv:1512.03385) on CIFAR-10."""

from .. import nn, optim
from ..nn import functional as F
from ..tensor import Tensor
from .cnn_cifar10 import NAMES, data, fit, scaled
from .images import answer
from .run import Run

DEFAULTS = {"epochs": 30, "batch_size": 64, "lr": 0.1, "weight_decay": 5e-4, "width": 32, "blocks": 1}
SMOKE = {"width": 4}


class Block(nn.Module):
    """y = relu(x + f(x)), f two 3x3 convolutions; where the shape changes, x passes through a 1x1 convolution."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y))
        return F.relu(y + self.shortcut(x))


def network(run: Run) -> nn.Module:
    """(B, 3, 32, 32) to (B, K): three stages, each of half the height and twice the channels of the one before."""
    w = run.width
    stages = [(w, w, 1), (w, 2 * w, 2), (2 * w, 4 * w, 2)]
    blocks = []
    for inputs, outputs, stride in stages:
        blocks += [Block(inputs, outputs, stride)] + [Block(outputs, outputs, 1) for _ in range(run.blocks - 1)]
    return nn.Sequential(
        nn.Conv2d(3, w, 3, padding=1, bias=False),
        nn.BatchNorm2d(w),
        nn.ReLU(),
        *blocks,  # (B, 4w, 8, 8)
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),  # (B, 4w)
        nn.Linear(4 * w, 10),
    )


def train(run: Run) -> None:
    model = network(run)
    optimizer = optim.SGD(model.parameters(), lr=run.lr, momentum=0.9, nesterov=True, weight_decay=run.weight_decay)
    fit(run, model, optimizer)
    test(run, model)


def test(run: Run, model: nn.Module) -> None:
    run.classified(model, F.cross_entropy, data(run, "test"), NAMES)


def predict(run: Run, model: nn.Module, path: str) -> str:
    return answer(model, path, (3, 32, 32), scaled, NAMES)

"""The models of the training steps, with PyTorch's names: the same text makes minigrad's and PyTorch's.

Each function takes the modules `nn` and `F` of either library.
"""

from __future__ import annotations

from typing import Any


def logistic(nn: Any, F: Any) -> Any:
    """(B, 10) to (B,) logits."""
    return nn.Sequential(nn.Linear(10, 1), nn.Flatten(0))


def mlp_small(nn: Any, F: Any) -> Any:
    """(B, 10) to (B,) logits."""
    return nn.Sequential(
        nn.Linear(10, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1), nn.Flatten(0)
    )  # fmt: skip


def mlp(nn: Any, F: Any) -> Any:
    return nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))


def mlp_wide(nn: Any, F: Any) -> Any:
    return nn.Sequential(nn.Linear(784, 1024), nn.ReLU(), nn.Linear(1024, 1024), nn.ReLU(), nn.Linear(1024, 10))


def cnn(nn: Any, F: Any, channels: int = 1, flat: int = 576) -> Any:
    """(B, channels, H, W) to (B, 10), the network of the recipe mnist-cnn."""
    return nn.Sequential(
        *(nn.Conv2d(channels, 32, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(64, 64, 3), nn.ReLU(), nn.Flatten()),
        *(nn.Linear(flat, 64), nn.ReLU(), nn.Linear(64, 10)),
    )


def cnn_colour(nn: Any, F: Any) -> Any:
    return cnn(nn, F, channels=3, flat=1024)


def resnet8(nn: Any, F: Any) -> Any:
    """(B, 3, 32, 32) to (B, 10). He et al. 2015, arXiv:1512.03385, with one block per width and 1x1 shortcuts."""

    class Block(nn.Module):
        def __init__(self, inner: int, outer: int, stride: int):
            super().__init__()
            self.conv1 = nn.Conv2d(inner, outer, 3, stride, padding=1, bias=False)
            self.bn1 = nn.BatchNorm2d(outer)
            self.conv2 = nn.Conv2d(outer, outer, 3, padding=1, bias=False)
            self.bn2 = nn.BatchNorm2d(outer)
            self.shortcut = None
            if stride > 1:
                self.shortcut = nn.Sequential(nn.Conv2d(inner, outer, 1, stride, bias=False), nn.BatchNorm2d(outer))

        def forward(self, x: Any) -> Any:
            y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
            return F.relu(y + (x if self.shortcut is None else self.shortcut(x)))

    return nn.Sequential(
        *(nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()),
        *(Block(16, 16, 1), Block(16, 32, 2), Block(32, 64, 2)),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)),
    )


def transformer(nn: Any, F: Any) -> Any:
    """(B, T, 512) and (B, T, 512) to (B, T, 512): an encoder layer, and a decoder layer that attends to it."""

    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = nn.TransformerEncoderLayer(512, 8, 2048, dropout=0.0, batch_first=True)
            self.decoder = nn.TransformerDecoderLayer(512, 8, 2048, dropout=0.0, batch_first=True)

        def forward(self, source: Any, target: Any) -> Any:
            return self.decoder(target, self.encoder(source))

    return Pair()


def gpt(nn: Any, F: Any, layers: int = 4, width: int = 128, heads: int = 4, time: int = 64, words: int = 65) -> Any:
    """(B, T) tokens to (B T, words) logits, as nanoGPT builds it. Radford et al. 2019."""

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.ln1, self.ln2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.fc, self.out = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

        def forward(self, x: Any) -> Any:
            B, T, C = x.shape
            q, k, v = (
                t.view(B, T, heads, C // heads).transpose(1, 2)  # (B, H, T, D)
                for t in self.qkv(self.ln1(x)).split(C, 2)
            )
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.proj(y.transpose(1, 2).contiguous().view(B, T, C))
            return x + self.out(F.gelu(self.fc(self.ln2(x))))

    class GPT(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokens, self.places = nn.Embedding(words, width), nn.Embedding(time, width)
            self.blocks = nn.Sequential(*(Block() for _ in range(layers)))
            self.ln, self.head = nn.LayerNorm(width), nn.Linear(width, words, bias=False)

        def forward(self, tokens: Any, places: Any) -> Any:
            x = self.tokens(tokens) + self.places(places)  # (B, T, C)
            return self.head(self.ln(self.blocks(x))).view(-1, words)

    return GPT()


def lstm(nn: Any, F: Any) -> Any:
    """(B, T, 32) to (B, 10), from the last hidden state."""

    class Last(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm, self.head = nn.LSTM(32, 128, batch_first=True), nn.Linear(128, 10)

        def forward(self, x: Any) -> Any:
            _, (h, _) = self.lstm(x)  # h: (1, B, 128)
            return self.head(h[0])

    return Last()

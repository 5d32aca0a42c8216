"""One run of a recipe: its options, the folder its files go to, and the report at its end."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import io, viz
from .._version import __version__
from ..data import DataLoader
from ..extras import require
from ..random import manual_seed
from ..train import Accuracy, Callback, Checkpoint, ConfusionMatrix, Progress, StopOnInterrupt, Trainer


class Run:
    """What ``train(run)`` of a recipe receives. Creating one checks the folder and what the report will need."""

    def __init__(self, name: str, *, backend: str, epochs: int, batch_size: int, lr: float, seed: int, out: Path):
        self.name, self.backend = name, backend
        self.epochs, self.batch_size, self.lr, self.seed = epochs, batch_size, lr, seed
        self.out = io.writable_folder(out)
        self.weights, self.results = self.out / "weights.safetensors", self.out / "results.json"
        self.curves, self.confusion = self.out / "curves.png", self.out / "confusion.png"
        for module in ("safetensors", "matplotlib"):  # now, not after the training
            require(module, extra="train", use=f"minigrad train {name}")
        for path in (self.weights, self.results, self.curves, self.confusion):
            path.unlink(missing_ok=True)  # an earlier run's: after a stop they would belong to other weights
        manual_seed(seed)  # the weights and dropout draw from the shared generator
        self.started = time.perf_counter()

    def callbacks(self) -> list[Callback]:
        """Progress, the weights of the last epoch, and a clean stop on Ctrl-C; after the recipe's own."""
        compiles = ", whose kernels are compiled once, at first use" if self.backend == "numba" else ""
        header = f"{self.name}: {self.epochs} epoch{'s' * (self.epochs > 1)} on the {self.backend} backend{compiles}"
        return [Progress(header), Checkpoint(self.weights), StopOnInterrupt()]

    def report(self, trainer: Trainer, test: DataLoader, names: Sequence[str]) -> None:
        """Test a classifier; write the pictures and the results; say where they are and how good it is."""
        trained = time.perf_counter() - self.started
        figures = trainer.evaluate(test, metrics=[Accuracy(), ConfusionMatrix(len(names))])
        counts, accuracy = figures["confusion_matrix"], figures["accuracy"]
        viz.learning_curves(trainer.history, self.curves, title=f"{self.name}, test accuracy {accuracy:.2%}")
        right, total = int(np.trace(counts)), int(counts.sum())
        title = f"{self.name}: {right} of {total} test images right"
        viz.confusion_matrix(counts, self.confusion, names=names, title=title)
        results = {
            "recipe": self.name,
            "test_accuracy": accuracy,
            "test_loss": figures["loss"],
            "test_samples": total,
            "options": {
                "backend": self.backend,
                "epochs": self.epochs,
                "batch_size": self.batch_size,
                "lr": self.lr,
                "seed": self.seed,
            },
            "parameters": sum(p.size for p in trainer.model.parameters()),
            "history": trainer.history,
            "confusion_matrix": counts.tolist(),
            "seconds": round(trained, 3),
            "versions": {"minigrad": __version__, "python": platform.python_version(), "numpy": np.__version__},
        }
        io.atomic_write(self.results, json.dumps(results, indent=1) + "\n")
        print(f"trained for {trained:.1f} s on the {self.backend} backend")
        for what, path in self.files().items():
            print(f"{what:<17} {path}")
        print(f"test accuracy {100 * accuracy:.2f} %", flush=True)

    def files(self) -> dict[str, Any]:
        """What the run has written so far, by name."""
        paths = {
            "weights": self.weights,
            "learning curves": self.curves,
            "confusion matrix": self.confusion,
            "results": self.results,
        }
        return {what: path for what, path in paths.items() if path.exists()}

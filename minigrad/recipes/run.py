"""One run of a recipe: its options, the folder its files go to, how it goes on after a stop, and its report."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import io, viz
from .._version import __version__
from ..data import DataLoader, Dataset, Subset
from ..errors import ArgumentError, DataError
from ..extras import require
from ..nn import Module
from ..random import manual_seed
from ..tensor import Tensor
from ..train import Accuracy, Checkpoint, ConfusionMatrix, Progress, SaveState, StopOnInterrupt, Trainer


class Run:
    """What the functions of a recipe receive.

    Options are attributes: ``run.epochs``, ``run.lr``, and what else the recipe's DEFAULTS name. `notes` is for what
    the model needs beside its weights (a vocabulary); it is kept with them. smoke: tiny data and few steps, to see that
    all works.
    """

    def __init__(self, name: str, options: Mapping[str, Any], *, backend: str, out: Path, smoke: bool = False):
        self.name, self.backend, self.smoke = name, backend, smoke
        self.options = dict(options)
        self.notes: dict[str, Any] = {}
        self.out = io.writable_folder(out)
        self.weights, self.results = self.out / "weights.safetensors", self.out / "results.json"
        self.state = self.out / "state.safetensors"
        self.written: dict[str, Path] = {}  # what the run has made: what it is -> its file
        self.trainer: Trainer | None = None
        self.resumed: dict[str, Any] | None = None
        self.before, self.started = 0.0, time.perf_counter()
        for module in ("safetensors", "matplotlib"):  # now, not after the training
            require(module, extra="train", use=f"minigrad train {name}")
        manual_seed(self.seed)  # the weights and dropout draw from the shared generator

    def begin(self, resume: bool = False) -> None:
        """Make the folder ready: without what an earlier run left, or with its state to go on from."""
        if resume:
            self.resumed = self._saved_state()
            self.before = float(self.resumed["run"]["seconds"])
            return
        # after a stop they would belong to other weights
        for path in (*self._earlier(), self.weights, self.results, self.state):
            path.unlink(missing_ok=True)

    def _earlier(self) -> list[Path]:
        """The pictures and samples that an earlier run has left in the folder, as its results name them."""
        try:
            files = json.loads(self.results.read_text())["files"]
            return [self.out / Path(name).name for name in files]
        except (OSError, ValueError, KeyError, TypeError):
            return []  # no results, or not of a run: nothing here is known to be ours

    def trained(self, network: Callable[[Run], Module]) -> Module:
        """The model with the weights that a run has left in the folder, and the options and notes of that run."""
        if not self.weights.exists():
            raise DataError(
                f"{self.weights}: there are no weights. Train first: minigrad train {self.name} --out {self.out}"
            )
        about = io.load_metadata(self.weights)
        if about.get("recipe") != self.name:
            raise DataError(
                f"{self.weights}: not weights of {self.name}, but of {about.get('recipe', 'another model')}."
            )
        self.options |= json.loads(about["options"])
        self.notes = json.loads(about["notes"])
        model = network(self)
        model.load_state_dict(io.load(self.weights))
        return model.eval()

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["options"][name]
        except KeyError:
            raise AttributeError(f"Run has no option {name!r}: add it to the recipe's DEFAULTS.") from None

    def _saved_state(self) -> dict[str, Any]:
        if not self.state.exists():
            raise DataError(f"{self.state}: there is no run to resume. Start one without --resume.")
        state = io.load(self.state)
        saved = state.get("run") if isinstance(state, Mapping) else None
        if not isinstance(saved, Mapping) or saved.get("recipe") != self.name:
            raise DataError(f"{self.state}: not the state of a run of {self.name}. Is --out another recipe's folder?")
        full = {"precision": "32-true"}  # unless the options say otherwise
        wanted = {"backend": self.backend, "smoke": self.smoke, **full, **self.options}
        came = {"backend": saved["backend"], "smoke": saved["smoke"], **full, **saved["options"]}
        differ = [f"{k} {came.get(k)!r}, now {v!r}" for k, v in wanted.items() if came.get(k) != v]
        if differ:
            raise ArgumentError(f"resume: the run was started with other options: {'; '.join(differ)}. Leave them out.")
        return state

    @property
    def seconds(self) -> float:
        """How long this run has taken so far, over all its parts."""
        return self.before + time.perf_counter() - self.started

    # -- training ------------------------------------------------------------------------------------------------------
    def few(self, data: Dataset, n: int = 96) -> Dataset:
        """In a smoke run the first n samples, else all."""
        return Subset(data, range(min(n, len(data)))) if self.smoke else data

    def fit(self, trainer: Trainer, train: Iterable, validation: Iterable | None = None, *, best: str = "") -> None:
        """Train to the last epoch, from the start or from where an earlier run stopped: with a progress bar, the
        weights and the state saved, and a clean stop on Ctrl-C. best: keep the weights that were the best by this
        figure (``validation_loss``), not the last ones."""
        self.trainer = trainer
        if "precision" in self.options:
            trainer.use_precision(self.precision)
        metadata = {"recipe": self.name, "options": json.dumps(self.options), "notes": json.dumps(self.notes)}
        compiles = ", whose kernels are compiled once, at first use" if self.backend == "numba" else ""
        header = f"{self.name}: {self.epochs} epoch{'s' * (self.epochs > 1)} on the {self.backend} backend{compiles}"
        kept = Checkpoint(self.weights, "best" if best else "last", monitor=best or "-", metadata=metadata)
        trainer.callbacks += (Progress(header), kept, SaveState(self.state, also=self._about), StopOnInterrupt())
        if self.resumed:
            trainer.load_state_dict(self.resumed)
        left = self.epochs - (trainer.epoch - trainer.within)
        if left > 0:
            trainer.fit(train, validation, left)
        if best and self.weights.exists():
            trainer.model.load_state_dict(io.load(self.weights))
        self.took = self.seconds

    def _about(self) -> dict[str, Any]:
        about = {"recipe": self.name, "backend": self.backend, "smoke": self.smoke, "options": self.options}
        return {"run": about | {"notes": self.notes, "seconds": self.seconds}}

    # -- the report ----------------------------------------------------------------------------------------------------
    def path(self, what: str, name: str) -> Path:
        """The place of a file that the run makes; the report says where it is."""
        self.written[what] = self.out / name
        return self.out / name

    def classified(
        self, model: Module, loss: Callable[..., Tensor], test: Dataset, names: Sequence[str], **results: Any
    ) -> None:
        """Test a classifier and report its accuracy, with the confusion matrix. results: more figures to note."""
        metrics = [Accuracy(), ConfusionMatrix(len(names))]
        figures = Trainer(model, loss).evaluate(DataLoader(test, 500), metrics=metrics)
        counts, accuracy = figures["confusion_matrix"], figures["accuracy"]
        title = f"{self.name}: {int(np.trace(counts))} of {int(counts.sum())} test samples right"
        viz.confusion_matrix(counts, self.path("confusion matrix", "confusion.png"), names=names, title=title)
        self.report(
            "test accuracy",
            100 * accuracy,
            "%",
            test_accuracy=accuracy,
            test_loss=figures["loss"],
            test_samples=int(counts.sum()),
            confusion_matrix=counts.tolist(),
            **results,
        )

    def report(self, figure: str, value: float, unit: str = "", *, digits: int = 2, **results: Any) -> None:
        """Write the results, say where everything is, and end with the figure that counts: ``test accuracy 99.21 %``.

        results: more figures for the results file.
        """
        line = f"{figure} {value:.{digits}f}{' ' * bool(unit)}{unit}"
        if self.trainer is not None:
            history = self.trainer.history
            viz.learning_curves(history, self.path("learning curves", "curves.png"), title=f"{self.name}, {line}")
            self.written = {"weights": self.weights, **self.written}
            everything = {
                "recipe": self.name,
                "figure": {"name": figure, "value": value, "unit": unit},
                **results,
                "options": {"backend": self.backend, **self.options},
                "parameters": sum(p.size for p in self.trainer.model.parameters()),
                "history": history,
                "seconds": round(self.took, 3),
                "files": sorted(path.name for path in self.written.values()),
                "versions": {"minigrad": __version__, "python": platform.python_version(), "numpy": np.__version__},
            }
            io.atomic_write(self.path("results", "results.json"), json.dumps(everything, indent=1) + "\n")
            print(f"trained for {self.took:.1f} s on the {self.backend} backend")
        for what, path in self.written.items():
            print(f"{what:<17} {path}")
        print(line, flush=True)

"""The command line: ``minigrad train digits-cnn``, or ``python -m minigrad``.

Exit status: 0 done; 1 the run itself failed (the loss diverged); 2 a wrong option, or something missing; 130 Ctrl-C.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from ._version import __version__
from .benchmarks import BACKENDS, PEERS, SUITES
from .errors import DivergenceError, MinigradError


class Parser(argparse.ArgumentParser):
    """One line for an error, without the usage before it."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def number(kind: type, least: float, what: str) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and (value >= least if kind is int else value > least)):
            raise argparse.ArgumentTypeError(f"must be {what}: got {text!r}")
        return value

    return parse


def one_of(names: Sequence[str]) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in names:
            raise argparse.ArgumentTypeError(f"must be one of {', '.join(names)}: got {text!r}")
        return text

    return parse


def several(names: Sequence[str]) -> Callable[[str], list[str]]:
    """Names with commas between; `none` for no name at all."""
    return lambda text: [] if text == "none" else [one_of(names)(part) for part in text.split(",")]


def parser() -> Parser:
    main = Parser(prog="minigrad", description="A from-scratch autodiff engine to learn from and train with.")
    main.add_argument("--version", action="version", version=f"minigrad {__version__}")
    commands = main.add_subparsers(dest="command", required=True, metavar="COMMAND")

    _recipe_commands(commands)

    info = commands.add_parser("info", help="versions, backends, threads, kernel cache", description=show_info.__doc__)
    info.set_defaults(run=show_info)

    warmup = commands.add_parser("warmup", help="compile every kernel now", description=warm_up.__doc__)
    warmup.add_argument("--dtype", choices=("float32", "float64", "all"), default="all", help="for which numbers")
    warmup.add_argument("--jobs", type=number(int, 1, "a positive integer"), default=0, help="processes (all cores)")
    warmup.add_argument("--clear", action="store_true", help="empty the cache first")
    warmup.set_defaults(run=warm_up)

    ops = commands.add_parser("ops", help="the operations: formula, gradients, kernels", description=show_ops.__doc__)
    ops.add_argument("name", nargs="?", metavar="NAME", help="one operation in full (default: a line for each)")
    ops.add_argument("--html", metavar="FILE", type=Path, help="write the reference of all operations there, as a page")
    ops.set_defaults(run=show_ops)

    bench = commands.add_parser(
        "bench",
        help="measure minigrad beside its peers",
        description=run_bench.__doc__,
        epilog=f"Peers: {', '.join(PEERS)}. Example: "
        "minigrad bench train --only cnn --peers torch,jax --json train.json --png train.png",
    )
    bench.add_argument(
        "suites", nargs="*", type=one_of(SUITES), metavar="SUITE", help=f"{', '.join(SUITES)} (default: all)"
    )
    bench.add_argument("--only", metavar="PATTERN", help="rows whose name contains this, or matches it (cnn*)")
    bench.add_argument("--list", action="store_true", help="print the rows and measure nothing")
    bench.add_argument(
        "--backend",
        metavar="NAMES",
        type=several(BACKENDS),
        help=f"{', '.join(BACKENDS)}: some of them with commas between; ratios are to the first (default: all here)",
    )
    bench.add_argument(
        "--peers", metavar="NAMES", type=several([*PEERS]), help="some of the peers, or none (default: all here)"
    )
    bench.add_argument("--rounds", type=number(int, 1, "a positive integer"), help="turns of each contender")
    bench.add_argument("--seconds", type=number(float, 0, "a positive number"), help="length of a turn")
    bench.add_argument("--quick", action="store_true", help="few short turns: to see that all works, not for figures")
    bench.add_argument("--json", metavar="FILE", type=Path, help="write every figure there")
    bench.add_argument("--png", metavar="FILE", type=Path, help="draw the ratios there")
    bench.set_defaults(run=run_bench)
    return main


def _recipe_commands(commands: Any) -> None:
    which = argparse.ArgumentParser(add_help=False)
    which.add_argument("recipe", metavar="RECIPE", help="which model: see `minigrad recipes`")
    which.add_argument("--backend", default="numba", help="numba (default), numpy, or another of `minigrad info`")
    which.add_argument("--data", type=Path, help="folder with the data sets (default: $MINIGRAD_DATA, else downloaded)")
    which.add_argument("--out", type=Path, help="folder for the files of the run (default: runs/RECIPE)")
    which.add_argument("--smoke", action="store_true", help="tiny data, few steps: to see that all works")

    train = commands.add_parser(
        "train", parents=[which], help="train a model and report how good it is", description=DESCRIPTIONS["train"]
    )
    positive = number(int, 1, "a positive integer")
    train.add_argument("--epochs", type=positive, help="passes over the training data")
    train.add_argument("--batch-size", type=positive, help="samples in a step")
    train.add_argument("--lr", type=number(float, 0, "a positive number"), help="learning rate, at its highest")
    train.add_argument("--seed", type=number(int, 0, "an integer >= 0"), help="of all that is random (default: 0)")
    train.add_argument(
        "--precision",
        type=one_of(("32-true", "bf16-mixed", "16-mixed", "bf16-true", "16-true", "64-true")),
        help="float types: 32-true (default), bf16-mixed, 16-mixed, bf16-true, 16-true, 64-true",
    )
    train.add_argument(
        "--set", type=assignment, action="append", metavar="KEY=VALUE", help="another option of the recipe; repeatable"
    )
    train.add_argument("--resume", action="store_true", help="go on with the run that was stopped in the folder")
    train.set_defaults(run=recipe_command("train"))

    evaluate = commands.add_parser(
        "evaluate", parents=[which], help="test a trained model again", description=DESCRIPTIONS["evaluate"]
    )
    evaluate.set_defaults(run=recipe_command("evaluate"))

    predict = commands.add_parser(
        "predict", parents=[which], help="ask a trained model", description=DESCRIPTIONS["predict"]
    )
    predict.add_argument("inputs", nargs="+", metavar="INPUT", help="a file or a text, as the recipe needs")
    predict.set_defaults(run=recipe_command("predict"))

    generate = commands.add_parser(
        "generate", parents=[which], help="let a trained model write", description=DESCRIPTIONS["generate"]
    )
    generate.add_argument("prompt", nargs="?", default="\n", metavar="PROMPT", help="how the text begins")
    generate.add_argument("--length", type=positive, default=500, help="how much to write (default: 500)")
    generate.add_argument(
        "--temperature", type=number(float, 0, "a positive number"), default=0.8, help="of the draw (default: 0.8)"
    )
    generate.add_argument("--seed", type=number(int, 0, "an integer >= 0"), help="of the draw (default: 0)")
    generate.set_defaults(run=recipe_command("generate"))

    recipes = commands.add_parser(
        "recipes", help="list the models that `train` knows", description=DESCRIPTIONS["recipes"]
    )
    recipes.set_defaults(run=recipe_command("recipes"))


DESCRIPTIONS = {
    "train": "Train a model; write its weights, learning curves, pictures and results; end with its test figure.",
    "evaluate": "Test the model that a run has left in its folder: its figures and pictures.",
    "predict": "Ask the model that a run has left in its folder about files or texts, one answer a line.",
    "generate": "Let the language model that a run has left in its folder write.",
    "recipes": "List the models that `minigrad train` knows.",
}


def recipe_command(name: str) -> Callable[[argparse.Namespace], None]:
    """The command, imported only when it runs."""

    def run(options: argparse.Namespace) -> None:
        from .cli import recipes

        getattr(recipes, name)(options)

    return run


def assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"must be KEY=VALUE: got {text!r}")
    return name.replace("-", "_"), value


def show_info(options: argparse.Namespace) -> None:
    """Print versions, backends and why one is missing, threads, the kernel cache, and the default dtype."""
    from .cli.info import lines

    print("\n".join(lines()))


def warm_up(options: argparse.Namespace) -> None:
    """Compile every kernel into the disk cache, so that no training step waits for the compiler."""
    from .cli.warmup import warm_up as run

    run(("float32", "float64") if options.dtype == "all" else (options.dtype,), jobs=options.jobs, clear=options.clear)


def show_ops(options: argparse.Namespace) -> None:
    """List the operations, or describe one: formula, signature, shapes, gradient rules, domain, backends with kernels,
    source. With --html all of them, as one page."""
    from .cli.ops import detail, table

    if options.html is not None:
        from .cli.ops_page import page
        from .io import atomic_write

        print(atomic_write(options.html, page().encode()))
        return
    print("\n".join(table() if options.name is None else detail(options.name)))


def run_bench(options: argparse.Namespace) -> int:
    """Measure minigrad beside its peers, each contender in a process of its own, the processes taking turns. Losses
    are shown like wins. Without a SUITE all of them run, which takes a while; --quick shows what is there."""
    from .cli.bench import bench

    return bench(options)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status. Errors made on purpose are one line on stderr, others a traceback."""
    options = parser().parse_args(arguments)
    try:
        status = options.run(options)
        sys.stdout.flush()
    except MinigradError as error:
        print(f"minigrad: {error}", file=sys.stderr)
        return 1 if isinstance(error, DivergenceError) else 2
    except KeyboardInterrupt as error:
        where = f": {error}" if str(error) else ""
        print(f"minigrad: stopped by Ctrl-C{where}", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `minigrad ops | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return status or 0


if __name__ == "__main__":
    sys.exit(main())

"""Run notebooks from top to bottom and store what they print and draw.

    python notebooks/execute.py                     all of them
    python notebooks/execute.py 03-*.ipynb          some
    python notebooks/execute.py --check FILE        run, store nothing; exit status 1 if a cell fails or warns

The kernel is this Python, with folders of its own for settings and files, so nobody's Jupyter is read or changed. It
has one thread, and 120 seconds of processor time for a notebook: a figure that does not depend on what else runs.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import tomllib
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from traitlets.config import Config

HERE = Path(__file__).parent
SECONDS = 120  # of processor time, for one notebook
HANG = 900  # of anything, for one cell
THREADS = ("MINIGRAD_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")


def badges(path: Path) -> str:
    """The line under a notebook's title: open it in Colab, or in Binder. The address is pyproject.toml's."""
    project = tomllib.loads((HERE.parent / "pyproject.toml").read_text())["project"]
    address = project["urls"]["Repository"].removeprefix("https://github.com/")
    file = f"notebooks/{path.name}"
    colab = f"https://colab.research.google.com/github/{address}/blob/main/{file}"
    binder = f"https://mybinder.org/v2/gh/{address}/main?urlpath=lab/tree/{file}"
    return (
        f"[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({colab}) "
        f"[![Open in Binder](https://mybinder.org/badge_logo.svg)]({binder})"
    )


def run(notebook: nbformat.NotebookNode) -> None:
    """Execute all cells; their outputs replace the notebook's. Raises CellExecutionError or DeadKernelError."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        kernel = Path(folder, "kernels", "python3", "kernel.json")
        kernel.parent.mkdir(parents=True)
        command = [sys.executable, "-Xfrozen_modules=off", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        kernel.write_text(json.dumps({"argv": command, "display_name": "Python 3", "language": "python"}))
        os.environ.update({name: "1" for name in THREADS})
        os.environ.update(
            {f"JUPYTER_{part}_DIR": folder for part in ("CONFIG", "DATA", "RUNTIME")},
            JUPYTER_PATH=folder,  # where the kernel above is found first
            JUPYTER_NO_CONFIG="1",
            IPYTHONDIR=folder,
        )
        config = Config()
        if sys.platform != "win32":  # sockets as files: no two runs ask for the same port
            config.KernelManager.transport = "ipc"
            config.KernelManager.connection_file = str(Path(folder, "k.json"))
        work = Path(folder, "work")
        work.mkdir()
        resources = {"metadata": {"path": str(work)}}
        NotebookClient(
            notebook, kernel_name="python3", timeout=HANG, record_timing=False, resources=resources, config=config
        ).execute()


def warned(notebook: nbformat.NotebookNode) -> list[str]:
    """What the cells wrote to standard error, where warnings go."""
    outputs = [o for cell in notebook.cells if cell.cell_type == "code" for o in cell.outputs]
    return [o.text for o in outputs if o.output_type == "stream" and o.name == "stderr"]


def plain(notebook: nbformat.NotebookNode) -> None:
    """Leave out what another run or machine would write differently."""
    notebook.metadata.kernelspec = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata.language_info = {"name": "python"}
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", ()):
            # a figure is its picture: the text beside it is an object's address or size
            data = output.get("data", {})
            if any(kind.startswith("image/") or kind == "text/html" for kind in data):
                data.pop("text/plain", None)


def main() -> int:
    parser = argparse.ArgumentParser(description="Run notebooks and store what they print and draw.")
    parser.add_argument("--check", action="store_true", help="store nothing")
    parser.add_argument("files", nargs="*", type=Path, help="notebooks (default: all)")
    options = parser.parse_args()
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))  # for each process: the kernels inherit it
    failed = 0
    for path in options.files or sorted(HERE.glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        try:
            run(notebook)
            problem = "".join(warned(notebook))
        except (CellExecutionError, DeadKernelError) as error:
            problem = f"{error}\n(the kernel is also ended after {SECONDS} s of processor time)"
        if problem:
            failed += 1
            print(f"{path}: {problem}", file=sys.stderr)
        elif not options.check:
            plain(notebook)
            nbformat.write(notebook, path)
            print(f"{path}: {path.stat().st_size / 1024:.0f} kB")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

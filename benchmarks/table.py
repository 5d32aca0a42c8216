"""Writes the README's table of figures from the JSON files under benchmarks/results.

python benchmarks/table.py
"""

import json
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parent.parent
BEGIN, END = "<!-- figures, by benchmarks/table.py -->", "<!-- end of figures -->"


def table() -> str:
    overhead = json.loads((ROOT / "benchmarks/results/overhead.json").read_text())
    mlp = json.loads((ROOT / "benchmarks/results/mlp.json").read_text())
    lines = [
        "One operation with a gradient on 4x4 float32, in microseconds; NumPy's call alone is the control:",
        "",
        "| operation | NumPy | minigrad | minigrad adds | PyTorch |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, us in overhead["figures"].items():
        if name != "import":
            over, peer = us["minigrad"] - us["numpy"], f"{us['torch']:.2f}" if "torch" in us else "-"
            lines.append(f"| {name} | {us['numpy']:.2f} | {us['minigrad']:.2f} | {over:.2f} | {peer} |")
    load = overhead["figures"]["import"]
    lines += [
        "",
        f"`import minigrad` takes {load['minigrad'] / load['numpy']:.2f} times `import numpy`.",
        "",
        "One training step of an MLP 784-128-10, batch 128, Adam, each contender in its own process:",
        "",
        "| | median, ms | quartiles, ms | to minigrad numba |",
        "|---|---:|---:|---:|",
    ]
    base = float(np.median(mlp["seconds"]["minigrad numba"]))
    for name, seconds in mlp["seconds"].items():
        low, median, high = np.percentile(np.array(seconds) * 1e3, [25, 50, 75])
        lines.append(f"| {name} | {median:.2f} | {low:.2f} to {high:.2f} | {median / base / 1e3:.2f} |")
    return "\n".join(
        [
            *lines,
            "",
            f"{mlp['machine']}. Times on other machines differ; the ratios are the point.".replace("; ", ", ", 1),
        ]
    )


def main() -> None:
    readme = ROOT / "README.md"
    text = readme.read_text()
    start, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    readme.write_text(f"{text[:start]}\n{table()}\n{text[end:]}")


if __name__ == "__main__":
    main()

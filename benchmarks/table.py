"""Writes the README's tables of figures from the JSON files in benchmarks/results: `make bench`'s, and parity's.

python -m minigrad.benchmarks.table
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from .contenders import label
from .report import duration
from .suite import geometric_mean

ROOT = Path(__file__).parent.parent
BEGIN, END = "<!-- figures, by benchmarks/table.py -->", "<!-- end of figures -->"
BEGIN_PARITY, END_PARITY = "<!-- parity, by benchmarks/table.py -->", "<!-- end of parity -->"


def train(rows: Sequence[dict]) -> Iterator[str]:
    yield "One training step, eager; each contender in its own process, taking turns. Medians (quartiles)."
    yield "A ratio is another's time divided by minigrad's: above 1 minigrad is faster, below 1 slower."
    yield ""
    yield "| step | minigrad | PyTorch eager | ratio | best peer | ratio | x floor | peak MB, PyTorch's |"
    yield "|---|---:|---:|---:|---|---:|---:|---:|"
    for r in rows:
        ours, torch = r["contenders"].get(r["ours"], {}), r["contenders"].get("torch", {})
        best, floor = r.get("best_peer"), r.get("floor") or {}
        cells = [r["name"], spread(ours), spread(torch), ratio(torch)]
        cells += [label(best) if best else "-", ratio(r["contenders"].get(best, {}))]
        cells += [f"{floor['times']:.1f}" if "times" in floor else "-"]
        cells += [", ".join(f"{e['peak'] / 1e6:.0f}" if "peak" in e else "-" for e in (ours, torch))]
        yield f"| {' | '.join(cells)} |"


def kernels(rows: Sequence[dict], shown: int = 6) -> Iterator[str]:
    known = [(r["contenders"]["torch"]["ratio"], r) for r in rows if "ratio" in r["contenders"].get("torch", {})]
    if not known:
        return
    known.sort(key=lambda pair: pair[0])
    faster = sum(value > 1 for value, _ in known)
    mean = geometric_mean([value for value, _ in known])
    yield f"Single operations, forward and with gradients: minigrad is faster than PyTorch in {faster} of {len(known)}"
    yield f"cases; the geometric mean of the ratios is {mean:.2f}. The furthest behind and the furthest ahead:"
    yield ""
    yield "| operation | minigrad | PyTorch | ratio |"
    yield "|---|---:|---:|---:|"
    ends = known if len(known) <= 2 * shown else [*known[:shown], *known[-shown:]]
    for _, r in ends:
        ours, torch = r["contenders"][r["ours"]], r["contenders"]["torch"]
        yield f"| {r['name']} | {spread(ours)} | {spread(torch)} | {ratio(torch)} |"


def overhead(rows: Sequence[dict]) -> Iterator[str]:
    yield "One operation with a gradient on 4x4 float32; NumPy alone is the control:"
    yield ""
    yield "| operation | NumPy | minigrad | PyTorch | ratio |"
    yield "|---|---:|---:|---:|---:|"
    for r in rows:
        control, torch = r["contenders"].get("numpy-by-hand", {}), r["contenders"].get("torch", {})
        cells = [r["name"], middle(control), middle(r["contenders"].get(r["ours"], {})), middle(torch), ratio(torch)]
        yield f"| {' | '.join(cells)} |"


def cold(rows: Sequence[dict]) -> Iterator[str]:
    names = ("numba", "torch", "torch-compiled", "jax")
    yield "Fresh processes, from their start to the end of the command or of the first step:"
    yield ""
    yield f"| | {' | '.join(map(label, names))} |"
    yield f"|---|{'---:|' * len(names)}"
    for r in rows:
        yield f"| {r['name']} | {' | '.join(middle(r['contenders'].get(name, {})) for name in names)} |"


def middle(entry: dict) -> str:
    return duration(entry["median"]) if "median" in entry else "failed" if "error" in entry else "-"


def spread(entry: dict) -> str:
    if "median" not in entry:
        return middle(entry)
    return f"{duration(entry['median'])} ({duration(entry['low'])} to {duration(entry['high'])})"


def ratio(entry: dict) -> str:
    return f"{entry['ratio']:.2f}" if "ratio" in entry else "-"


TABLES = {"train": train, "kernels": kernels, "overhead": overhead, "cold": cold}


def tables(folder: Path) -> str:
    """The text between the marks: a table for each suite whose results are in the folder; "" if there are none."""
    lines: list[str] = []
    for name, table in TABLES.items():
        if (path := folder / f"{name}.json").exists():
            results = json.loads(path.read_text())
            for suite in results["suites"]:
                if suite["suite"] == name:
                    lines += [
                        *table(suite["rows"]),
                        "",
                        f"{where(results['machine'])}; {rounds(suite['protocol'])}.",
                        "",
                    ]
    return "\n".join(lines)


def rounds(protocol: dict) -> str:
    rounds = protocol["rounds"]
    return f"{rounds} round{'s' * (rounds != 1)} of {protocol['seconds']} s"


def parity(folder: Path) -> str:
    """The table of recipes trained by both; "" if there are no results."""
    if not (path := folder / "parity.json").exists():
        return ""
    results = json.loads(path.read_text())
    lines = ["| recipe, epochs | figure | minigrad | PyTorch | seconds |", "|---|---|---:|---:|---:|"]
    for r in results["rows"]:
        both = [r[who] for who in ("minigrad", "torch")]
        values = [f"{one['value']:.4g}" for one in both]
        seconds = ", ".join(f"{one['seconds']:.3g}" for one in both)
        figure = f"{r['figure']}, {r['unit']}" if r["unit"] else r["figure"]
        lines.append(f"| `{r['recipe']}`, {r['epochs']} | {figure} | {values[0]} | {values[1]} | {seconds} |")
    return "\n".join([*lines, "", f"{where(results['machine'])}."])


def where(machine: dict) -> str:
    versions = ", ".join(f"{package} {version}" for package, version in machine["versions"].items())
    return f"{machine['cpu']}, {machine['threads']} threads, Python {machine['python']}, {versions}; {machine['date']}"


def write(readme: Path, folder: Path) -> bool:
    """Renew the README's tables; False if there are no results."""
    text, made = readme.read_text(), False
    for begin, end, table in ((BEGIN, END, tables(folder)), (BEGIN_PARITY, END_PARITY, parity(folder))):
        if table and begin in text:
            start, stop = text.index(begin) + len(begin), text.index(end)
            text, made = f"{text[:start]}\n{table.rstrip()}\n{text[stop:]}", True
    if made:
        readme.write_text(text)
    return made


if __name__ == "__main__":
    if not write(ROOT / "README.md", ROOT / "benchmarks/results"):
        sys.exit(f"no results in {ROOT / 'benchmarks/results'}: `make bench` makes them")

"""Where the boxes of a graph go: in rows, every edge downwards, with few crossings and short edges.

Sugiyama, Tagawa and Toda's scheme (1981): rank the boxes by longest path, give edges that skip a rank a place in it,
order each rank by the barycenters of its neighbours, then move boxes sideways to where their neighbours are. Where the
program `dot` of Graphviz is installed it does this better, by network simplex (Gansner et al. 1993).
"""

from __future__ import annotations

import shutil
import subprocess
from bisect import bisect_left, insort
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

GAP_X, GAP_Y = 26.0, 40.0  # between boxes, in pixels
THREAD = 12.0  # the width an edge takes in a rank that it passes
SWEEPS = 12

Point = tuple[float, float]
Edge = tuple[int, int]


class Placement(NamedTuple):
    """centres: of the boxes; routes: for each edge the points of a chain of cubic Bezier curves, 1 + 3 k of them."""

    centres: list[Point]
    routes: list[list[Point]]
    width: float
    height: float


def placed(sizes: Sequence[tuple[float, float]], edges: Sequence[Edge], *, graphviz: bool | None = None) -> Placement:
    """Place boxes of these (width, height); an edge (a, b) goes from the bottom of a to the top of b. No cycles.

    graphviz: with the program `dot`, or without; None: with, where it is installed.
    """
    program = shutil.which("dot") if graphviz is not False else None
    found = _by_dot(program, sizes, edges) if program and sizes else None
    return found or _by_barycenters(sizes, edges)


# ---- our own -----------------------------------------------------------------------------------------------------


def _by_barycenters(sizes: Sequence[tuple[float, float]], edges: Sequence[Edge]) -> Placement:
    rank = ranks(len(sizes), edges)
    widths = [w for w, _ in sizes]
    rank_of = list(rank)
    chains: list[list[int]] = []  # for each edge its boxes from top to bottom, those it passes included
    for a, b in edges:
        passed = list(range(len(widths), len(widths) + rank[b] - rank[a] - 1))
        widths += [THREAD] * len(passed)
        rank_of += range(rank[a] + 1, rank[b])
        chains.append([a, *passed, b])
    above: list[list[int]] = [[] for _ in widths]
    below: list[list[int]] = [[] for _ in widths]
    for chain in chains:
        for a, b in pairwise(chain):
            below[a].append(b)
            above[b].append(a)
    rows: list[list[int]] = [[] for _ in range(max(rank, default=-1) + 1)]
    for v in _depth_first(above, len(sizes)):
        rows[rank_of[v]].append(v)
    rows = _ordered(rows, above, below)
    x = _sideways(rows, widths, above, below, len(sizes))
    left = min((x[v] - widths[v] / 2 for v in range(len(widths))), default=0.0)
    tops, y = [], 0.0
    heights = [max((sizes[v][1] for v in row if v < len(sizes)), default=0.0) for row in rows]
    for h in heights:
        tops.append(y)
        y += h + GAP_Y
    centres = []
    for v, (_, h) in enumerate(sizes):
        r = rank_of[v]
        middle = tops[r] + heights[r] / 2 if above[v] else tops[r] + heights[r] - h / 2  # sources near what they feed
        centres.append((x[v] - left, middle))
    routes = []
    for (a, b), chain in zip(edges, chains):
        points = [(centres[a][0], centres[a][1] + sizes[a][1] / 2)]
        for v in chain:  # straight down through each rank, from the lower side of a to the upper side of b
            r = rank_of[v]
            points += [(x[v] - left, tops[r])] * (v != a) + [(x[v] - left, tops[r] + heights[r])] * (v != b)
        points.append((centres[b][0], centres[b][1] - sizes[b][1] / 2))
        routes.append(_curves([p for i, p in enumerate(points) if not i or abs(p[1] - points[i - 1][1]) > 1]))
    width = max((x[v] + widths[v] / 2 - left for v in range(len(widths))), default=0.0)
    return Placement(centres, routes, width, max(y - GAP_Y, 0.0))


def ranks(n: int, edges: Sequence[Edge]) -> list[int]:
    """The longest path from a source to each box; then sources move down to just above the first box they feed."""
    after: list[list[int]] = [[] for _ in range(n)]
    waiting = [0] * n
    for a, b in edges:
        after[a].append(b)
        waiting[b] += 1
    sources = [v for v in range(n) if not waiting[v]]
    rank, ready = [0] * n, list(sources)
    while ready:
        v = ready.pop()
        for w in after[v]:
            rank[w] = max(rank[w], rank[v] + 1)
            waiting[w] -= 1
            if not waiting[w]:
                ready.append(w)
    for v in sources:
        if after[v]:
            rank[v] = min(rank[w] for w in after[v]) - 1
    return rank


def _depth_first(above: Sequence[Sequence[int]], boxes: int) -> list[int]:
    """Every box after what it is made of: a first order in which whole branches stay together."""
    order: list[int] = []
    done: set[int] = set()
    for root in reversed(range(boxes)):
        stack = [(root, False)]
        while stack:
            v, left = stack.pop()
            if left:
                order.append(v)
            elif v not in done:
                done.add(v)
                stack.append((v, True))
                stack += [(w, False) for w in reversed(above[v])]
    return order


def _ordered(rows: list[list[int]], above: Sequence, below: Sequence) -> list[list[int]]:
    """Sort each row by the mean place of the neighbours in the row before, down and up in turn; keep the best."""
    best, fewest = [list(row) for row in rows], crossings(rows, below)
    for sweep in range(SWEEPS):
        if not fewest:
            break
        near, way = (above, rows[1:]) if sweep % 2 == 0 else (below, rows[-2::-1])
        place = {v: i for row in rows for i, v in enumerate(row)}
        for row in way:
            centre = {v: sum(place[w] for w in near[v]) / len(near[v]) if near[v] else place[v] for v in row}
            row.sort(key=centre.__getitem__)
            place.update((v, i) for i, v in enumerate(row))
        if (count := crossings(rows, below)) < fewest:
            best, fewest = [list(row) for row in rows], count
    return best


def crossings(rows: Sequence[Sequence[int]], below: Sequence[Sequence[int]]) -> int:
    """How many pairs of edges between neighbouring rows cross: the inversions in the order of their lower ends."""
    count = 0
    for row, following in pairwise(rows):
        place = {v: i for i, v in enumerate(following)}
        ends: list[int] = []
        for v in row:
            mine = sorted(place[w] for w in below[v])
            count += sum(len(ends) - bisect_left(ends, end + 1) for end in mine)
            for end in mine:
                insort(ends, end)
    return count


def _sideways(rows: list[list[int]], widths: Sequence[float], above: Sequence, below: Sequence, boxes: int):
    """x of each box: again and again the mean of its neighbours', as near to it as the order of its row allows."""
    x = [0.0] * len(widths)
    for row in rows:
        at = 0.0
        for v in row:
            x[v] = at + widths[v] / 2
            at += widths[v] + GAP_X
    for sweep in range(2 * SWEEPS + 2):
        down = sweep % 2 == 0
        near = above if down else below
        for row in rows if down else rows[::-1]:
            wanted, weights, offsets, at = [], [], [], 0.0
            for v in row:
                # at last both sides count
                neighbours = near[v] if near[v] and sweep < 2 * SWEEPS else [*above[v], *below[v]]
                # an edge through several ranks is to be straight, and the way of the computation; leaves give way
                pull = [8.0 if v >= boxes and w >= boxes else 4.0 if above[w] else 0.1 for w in neighbours]
                wanted.append(sum(p * x[w] for p, w in zip(pull, neighbours)) / sum(pull) if pull else x[v])
                weights.append(sum(pull) if pull and above[v] else 0.1)
                offsets.append(at + widths[v] / 2)
                at += widths[v] + GAP_X
            for v, base, offset in zip(row, _rising([w - o for w, o in zip(wanted, offsets)], weights), offsets):
                x[v] = base + offset
    return x


def _rising(wanted: Sequence[float], weights: Sequence[float]) -> list[float]:
    """The rising sequence nearest to `wanted` in weighted squares: pool neighbours that are out of order."""
    pools: list[list[float]] = []  # [mean, weight, count]
    for mean, weight in zip(wanted, weights):
        pools.append([mean, weight, 1])
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            m, w, n = pools.pop()
            last = pools[-1]
            last[0] = (last[0] * last[1] + m * w) / (last[1] + w)
            last[1] += w
            last[2] += n
    return [mean for mean, _, n in pools for _ in range(int(n))]


def _curves(points: Sequence[Point]) -> list[Point]:
    """Bezier points through these, vertical at each."""
    route = [points[0]]
    for (x0, y0), (x1, y1) in pairwise(points):
        middle = (y0 + y1) / 2
        route += [(x0, middle), (x1, middle), (x1, y1)]
    return route


# ---- Graphviz ------------------------------------------------------------------------------------------------------


def _by_dot(program: str, sizes: Sequence[tuple[float, float]], edges: Sequence[Edge]) -> Placement | None:
    """None if the program fails."""
    inch = 72.0
    source = [f"digraph {{ nodesep={GAP_X / inch}; ranksep={GAP_Y / inch}; node [shape=box, fixedsize=true];"]
    source += [f"{i} [width={w / inch:.4f}, height={h / inch:.4f}];" for i, (w, h) in enumerate(sizes)]
    inner = {b for _, b in edges}  # the way of the computation is to be straighter than that of its leaves
    source += [f"{a} -> {b} [headport=n, tailport=s, weight={4 if a in inner else 1}];" for a, b in edges]
    try:
        done = subprocess.run([program, "-Tplain"], input="\n".join([*source, "}"]), capture_output=True, text=True,
                              timeout=60, check=True)  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    centres: list[Point] = [(0.0, 0.0)] * len(sizes)
    waiting: dict[Edge, list[list[Point]]] = {}
    width = height = 0.0
    for line in done.stdout.splitlines():
        kind, *words = line.split()
        if kind == "graph":
            width, height = float(words[1]) * inch, float(words[2]) * inch
        elif kind == "node":
            centres[int(words[0])] = (float(words[1]) * inch, height - float(words[2]) * inch)
        elif kind == "edge":
            numbers = [float(word) * inch for word in words[3 : 3 + 2 * int(words[2])]]
            route = [(x, height - y) for x, y in zip(numbers[::2], numbers[1::2])]
            waiting.setdefault((int(words[0]), int(words[1])), []).append(route)
    routes = [waiting[edge].pop(0) for edge in edges]
    for (a, b), route in zip(edges, routes):  # dot leaves room for its arrow heads: ours reach the box
        route[0] = (route[0][0], centres[a][1] + sizes[a][1] / 2)
        route[-1] = (route[-1][0], centres[b][1] - sizes[b][1] / 2)
    return Placement(centres, routes, width, height)

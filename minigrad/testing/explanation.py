"""In which words a check says what is wrong: where, by how much, and what the mistake may be."""

from __future__ import annotations

from typing import Any

import numpy as np

from .maps import Map, argument_spans


def place_name(problem: Map, i: int, j: int) -> str:
    """Where entry (i, j) of the Jacobian is: "argument b[0, 2], output [1]"."""
    for k, span in enumerate(argument_spans(problem.shapes)):
        if span.start <= j < span.stop:
            argument = f"argument {problem.names[problem.wrt[k]]}{_index(problem.shapes[k], j - span.start)}"
    for k, span in enumerate(argument_spans(problem.outputs)):
        if span.start <= i < span.stop:
            number = f" {k}" if len(problem.outputs) > 1 else ""
            output = f"output{number}{_index(problem.outputs[k], i - span.start)}"
    return f"{argument}, {output}"


def _index(shape: tuple, flat: int) -> str:
    return f"[{', '.join(str(i) for i in np.unravel_index(flat, shape))}]" if shape else ""


def explanation(problem: Map, rules: Any, numbers: Any, bound: Any, wrong: Any, method: str) -> list[str]:
    """One sentence per argument whose gradient is wrong: the worst entry and the likely mistake."""
    sentences = []
    x = problem.x
    y = problem(x)
    spans = argument_spans(problem.shapes)
    for k, span in enumerate(spans):
        if not wrong[:, span].any():
            continue
        A, N, T = rules[:, span], numbers[:, span], bound[:, span]  # (m, size of the argument)
        with np.errstate(invalid="ignore"):
            off = np.where(wrong[:, span], np.nan_to_num(np.abs(A - N), nan=np.inf), -1)
        i, j = map(int, np.unravel_index(off.argmax(), off.shape))
        others = {problem.names[problem.wrt[o]]: numbers[:, s] for o, s in enumerate(spans) if o != k}
        hint = _hint(A, N, T, x[span], y, problem.shapes[k], others)
        sentences.append(
            f"{place_name(problem, i, span.start + j)}: the rule gives {A[i, j]:.10g}, {method} give {N[i, j]:.10g} "
            f"(tolerance {T[i, j]:.2g}); {int(wrong[:, span].sum())} of {A.size} entries are wrong. {hint}"
        )
    return sentences


def _hint(A: Any, N: Any, T: Any, x: Any, y: Any, shape: tuple, others: dict[str, Any]) -> str:
    """The likely mistake, from the rules' Jacobian A (m, n) and the true one N."""

    def same(a: Any, b: Any) -> bool:
        return a.shape == b.shape and bool((np.abs(a - b) <= 10 * T + 1e-7 * np.abs(N).max(initial=0)).all())

    if not np.isfinite(A).all():
        return (
            "Likely: a division by zero or an overflow: the rule gives NaN or infinity where the derivative is finite."
        )
    if not A.any():
        return "Likely: no gradient arrives: the rule returns zero or None, or a detach() cuts the graph."
    if same(A, -N):
        return "Likely: the sign."
    if (ratio := float((A * N).sum() / max((N * N).sum(), 1e-300))) and same(A, ratio * N):
        inverse = f"1/{1 / ratio:.6g}" if abs(ratio) < 1 else f"{ratio:.6g}"
        return f"Likely: a constant factor: every entry is {inverse} times what it should be."
    for other, M in others.items():
        if same(A, M):
            return f"Likely: the rules of two arguments are swapped: this is the gradient for {other}."
    with np.errstate(divide="ignore", invalid="ignore"):
        for factor, words in ((x[None], "the input"), (y[:, None], "the output")):
            if same(A * factor, N):
                return f"Likely: a factor is missing: {words}."
            if same(A, N * factor):
                return f"Likely: a factor too many: {words}."
            if same(A * factor, -N) or same(A, -N * factor):
                return f"Likely: the sign, and a factor of {words}."
    if len(shape) >= 2:
        B = A.reshape(-1, *shape[:-2], shape[-1], shape[-2]).swapaxes(-1, -2).reshape(A.shape)
        if same(B, N) or (shape[-1] == shape[-2] and same(A.reshape(-1, *shape).swapaxes(-1, -2).reshape(A.shape), N)):
            return "Likely: a transpose: the numbers are right, at the places of the transposed matrix."
    if same(A[:, ::-1], N):
        return "Likely: the order: the numbers are right, in reverse."
    if np.allclose(np.sort(A, axis=None), np.sort(N, axis=None), rtol=1e-6, atol=float(10 * T.max(initial=0))):
        return "Likely: the places: the numbers are right, at wrong indices (an axis, a permutation, an index)."
    right = np.abs(A - N) <= 10 * T
    if (right | (A == 0)).all():
        lost = int((~right).sum())
        if len(y) > len(x) or 1 in shape:
            return (
                f"Likely: a broadcast not summed: {lost} entries are 0, only some copies of the input pass on theirs."
            )
        return f"Likely: a missing term: {lost} entries are 0 that should not be; the others are right."
    if (right | (N == 0)).all():
        return f"Likely: a term too many: {int((~right).sum())} entries should be 0; the others are right."
    entries = (A != 0) | (N != 0)
    if (right & entries).any():
        return f"{int((right & entries).sum())} entries are right: likely a wrong case (a mask, a boundary, a branch)."
    difference = (A - N)[entries]
    if np.ptp(difference) <= 1e-6 * np.abs(difference).max():
        return f"Likely: a missing or extra term: the difference is {difference[0]:.6g} everywhere."
    return "No simple pattern: perhaps a missing term, or a rule that reads an overwritten value."

"""A = P L D L^H P^T of symmetric matrices that need not be positive: Bunch and Kaufman 1977, as LAPACK's sytf2 and
hetf2 keep it: L below the diagonal of LD, D in blocks of 1 and 2 on it, and pivots."""

from __future__ import annotations

from typing import Any

import numpy as np

ALPHA = (1 + 17**0.5) / 8  # bounds the growth of elements


def factored(a: np.ndarray, hermitian: bool) -> tuple[np.ndarray, np.ndarray]:
    """(LD, pivots) of a (..., N, N), of which the lower triangle is read. pivots (..., N), int32: p > 0 at place k:
    rows k and p - 1 were exchanged; twice p < 0 at k and k + 1: a block of 2, rows k + 1 and -p - 1 were."""
    LD, pivots = np.empty(a.shape, a.dtype), np.empty(a.shape[:-1], np.int32)
    for i in np.ndindex(*a.shape[:-2]):
        LD[i], pivots[i] = _one(a[i], hermitian and a.dtype.kind == "c")
    return LD, pivots


def _one(a: np.ndarray, hermitian: bool) -> tuple[np.ndarray, list]:
    turned: Any = np.conj if hermitian else np.asarray
    a = np.tril(a, -1) + turned(np.tril(a, -1)).T + np.diag(np.diag(a.real if hermitian else a)).astype(a.dtype)
    n, k, pivots = len(a), 0, []
    while k < n:
        size = np.abs(a.real) + np.abs(a.imag)  # as LAPACK compares
        own, column = size[k, k], size[k + 1 :, k]
        largest = column.max(initial=0)
        p, step = k, 1
        if largest and own < ALPHA * largest:
            r = k + 1 + int(column.argmax())
            row = max(size[r, k:r].max(), size[r + 1 :, r].max(initial=0))
            if own < ALPHA * largest * (largest / row):
                p, step = r, 1 if size[r, r] >= ALPHA * row else 2
        kk = k + step - 1
        a[k:, [kk, p]] = a[k:, [p, kk]]
        a[[kk, p], k:] = a[[p, kk], k:]
        D, C = a[k : k + step, k : k + step], a[k + step :, k : k + step].copy()
        if np.any(D):
            a[k + step :, k : k + step] = C @ np.linalg.inv(D)
            a[k + step :, k + step :] -= a[k + step :, k : k + step] @ turned(C).T
        pivots += [p + 1] if step == 1 else [-p - 1] * 2
        k += step
    return np.tril(a), pivots


def multiplied(LD: np.ndarray, pivots: np.ndarray, hermitian: bool) -> np.ndarray:
    """The matrices that `factored` took apart."""
    y = np.empty_like(LD)
    turned: Any = np.conj if hermitian and LD.dtype.kind == "c" else np.asarray
    for i in np.ndindex(*LD.shape[:-2]):
        ld, pivot, n = LD[i], pivots[i].tolist(), LD.shape[-1]
        M, D, k = np.eye(n, dtype=LD.dtype), np.zeros_like(ld), 0
        while k < n:
            step = 1 if pivot[k] > 0 else 2
            kk, p = k + step - 1, abs(pivot[k]) - 1
            M[:, [kk, p]] = M[:, [p, kk]]
            M[:, k : k + step] += M[:, k + step :] @ ld[k + step :, k : k + step]
            D[k : k + step, k : k + step] = ld[k : k + step, k : k + step]
            if step == 2:
                D[k, k + 1] = turned(ld[k + 1, k])
            k += step
        y[i] = M @ D @ turned(M).T
    return y

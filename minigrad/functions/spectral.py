"""The short-time Fourier transform and its inverse."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ArgumentError, ShapeError
from ..tensor import F, Tensor, wrap
from .framing import pad
from .spelling import like, spelled


def _window(x: Tensor, window: Any, n_fft: int, win_length: int | None, op: str) -> Tensor:
    """The window in the middle of n_fft numbers, ones if there is none."""
    real = x.real.dtype if x.dtype.kind == "c" else x.dtype
    width = n_fft if win_length is None else win_length
    if not 0 < width <= n_fft:
        raise ArgumentError(f"{op}: win_length must be from 1 to n_fft, {n_fft}: got {width}.")
    if window is None:
        w = wrap(x.backend.asarray(np.ones(width, real)))
    else:
        w = window if isinstance(window, Tensor) else like(window, x.real if x.dtype.kind == "c" else x)
    if w.shape != (width,):
        raise ShapeError(f"{op}: the window must have win_length numbers, ({width},): got {w.shape}.")
    left = (n_fft - width) // 2
    return F.pad(w, widths=((left, n_fft - width - left),))


@spelled
def stft(
    x: Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Any = None,
    center: bool = True,
    pad_mode: str = "reflect",
    normalized: bool = False,
    onesided: bool | None = None,
    return_complex: bool | None = True,
    align_to_window: bool | None = None,
) -> Tensor:
    """y[..., k, m] = sum over j < n_fft of window[j] x[..., m hop_length + j] e**(-2 pi i k j / n_fft): the spectrum of
    each frame. x: (T,) or (B, T), real or complex; y: (..., K, M) complex, K = n_fft // 2 + 1 of a real x unless
    onesided=False.

    hop_length: n_fft // 4; center: x is padded by n_fft // 2 at both ends, so that frame m has its middle at m
    hop_length; normalized: divided by sqrt(n_fft); return_complex=False: (..., K, M, 2). As torch.stft.
    """
    hop = n_fft // 4 if hop_length is None else hop_length
    if x.ndim not in (1, 2) or hop <= 0 or n_fft <= 0:
        raise ShapeError(f"stft: needs (T,) or (B, T), n_fft and hop_length above 0: got {x.shape}, {n_fft}, {hop}.")
    x = x if x.dtype.kind in "fc" else x * 1.0
    w = _window(x, window, n_fft, win_length, "stft")
    if center:
        sides = ((0, 0),) * (x.ndim - 1) + ((n_fft // 2, n_fft // 2),)
        x = pad(x, sides, mode={"replicate": "edge", "circular": "wrap"}.get(pad_mode, pad_mode))
    if x.shape[-1] < n_fft:
        raise ShapeError(f"stft: x has {x.shape[-1]} samples (with its frame), fewer than n_fft, {n_fft}.")
    frames = F.windows(x, size=(n_fft,), stride=(hop,), dilation=(1,)) * w  # (..., M, n_fft)
    norm = "ortho" if normalized else "backward"
    if frames.dtype.kind == "c" or onesided is False:
        y = F.dft(frames, axes=(frames.ndim - 1,), norm=norm)
    else:
        y = F.rdft(frames, axis=frames.ndim - 1, norm=norm)
    y = y.mT  # (..., K, M)
    return y if return_complex is not False else F.stack(y.real, y.imag, axis=-1)


@spelled
def istft(
    x: Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Any = None,
    center: bool = True,
    normalized: bool = False,
    onesided: bool | None = None,
    length: int | None = None,
    return_complex: bool = False,
) -> Tensor:
    """The signal whose `stft` is x: frames added up where they overlap, over the sum of their squared windows (Griffin,
    Lim 1984). x: (..., K, M) complex; y: (T,) or (B, T), of `length` samples if given. As torch.istft.

    >>> import minigrad as mg
    >>> x, w = mg.arange(8.0), mg.ones(4)
    >>> istft(stft(x, 4, window=w), 4, window=w)
    tensor([0., 1., 2., 3., 4., 5., 6., 7.])
    """
    hop = n_fft // 4 if hop_length is None else hop_length
    if x.ndim not in (2, 3) or x.dtype.kind != "c":
        raise ShapeError(f"istft: needs a complex (K, M) or (B, K, M): got {x.dtype} {x.shape}.")
    onesided = (x.shape[-2] != n_fft) if onesided is None else onesided
    if x.shape[-2] != (n_fft // 2 + 1 if onesided else n_fft):
        raise ShapeError(f"istft: K must be {n_fft // 2 + 1 if onesided else n_fft} for n_fft={n_fft}: got {x.shape}.")
    w = _window(x, window, n_fft, win_length, "istft")
    if onesided and return_complex:
        raise ArgumentError("istft: half a spectrum is that of a real signal: use return_complex=False.")
    frames, norm = x.mT, "ortho" if normalized else "backward"  # (..., M, K)
    last = frames.ndim - 1
    if not return_complex:  # half of the spectrum says all
        frames = frames[..., : n_fft // 2 + 1]
        frames = F.irdft(frames, n=n_fft, axis=last, norm=norm)
    else:
        frames = F.dft(frames, axes=(last,), inverse=True, norm=norm)
    count = frames.shape[-2]
    total = n_fft + hop * (count - 1)
    places = np.arange(n_fft) + hop * np.arange(count)[:, None]  # (M, n_fft)

    def overlapped(f: Tensor) -> Tensor:
        flat = F.reshape(f, (*f.shape[:-2], count * n_fft))
        zeros = F.zeros(shape=(*f.shape[:-2], total), dtype=f.dtype, like=x)
        return zeros.index_add(f.ndim - 2, wrap(x.backend.asarray(places.reshape(-1))), flat)

    y = overlapped(frames * w)
    weight = overlapped(F.broadcast_to(w * w, (count, n_fft)))
    start = n_fft // 2 if center else 0
    stop = total - (n_fft // 2 if center else 0) if length is None else start + length
    y, weight = y[..., start:stop], weight[start:stop]
    if float(F.min(F.abs(weight)).detach().numpy()) < 1e-11:
        raise ArgumentError("istft: the windows leave a sample uncovered. Use a smaller hop_length, or center=True.")
    y = y / weight
    missing = 0 if length is None else length - y.shape[-1]
    y = F.pad(y, widths=((0, 0),) * (y.ndim - 1) + ((0, missing),)) if missing > 0 else y
    return y

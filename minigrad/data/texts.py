"""Texts: Shakespeare by the character, names by language, film reviews, captions in three languages."""

from __future__ import annotations

import gzip
import os
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import DataError
from .fetch import Source, fetched, local_folder, members

SHAKESPEARE = Source(
    "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
    "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
)


def tiny_shakespeare(folder: str | os.PathLike | None = None) -> str:
    """1,115,394 characters of Shakespeare's plays, 65 different ones, as char-rnn has them (Karpathy 2015).

    Read from ``input.txt`` in `folder`, else ``$MINIGRAD_DATA/tinyshakespeare``; else downloaded.
    """
    return _text(fetched("tinyshakespeare", {"input.txt": SHAKESPEARE}, folder)["input.txt"])


# ---- names -----------------------------------------------------------------------------------------------------------
LANGUAGES = (
    *("Arabic", "Chinese", "Czech", "Dutch", "English", "French", "German", "Greek", "Irish"),
    *("Italian", "Japanese", "Korean", "Polish", "Portuguese", "Russian", "Scottish", "Spanish", "Vietnamese"),
)
NAMES = Source("https://download.pytorch.org/tutorial/data.zip")


class Labelled(NamedTuple):
    """N texts; labels: (N,) int64; the names of the classes, in label order."""

    texts: list[str]
    labels: np.ndarray
    names: tuple[str, ...]


def names(folder: str | os.PathLike | None = None) -> Labelled:
    """20,074 surnames of 18 languages, as PyTorch's character-RNN tutorial has them (Robertson 2017); most are Russian.

    Read from ``Arabic.txt`` ... ``Vietnamese.txt`` in `folder`, else ``$MINIGRAD_DATA/names``; else downloaded.
    """
    where = Path(folder) if folder is not None else local_folder("names")
    files = [f"{language}.txt" for language in LANGUAGES]
    if where is not None and all((where / file).is_file() for file in files):
        contents = [_text(where / file) for file in files]
    elif folder is not None:
        raise DataError(f"names: {where} lacks {', '.join(f for f in files if not (where / f).is_file())}.")  # type: ignore[operator]
    else:
        archive = fetched("names", {"data.zip": NAMES})["data.zip"]
        contents = [c.decode() for c in members(archive, {f: f"data/names/{f}" for f in files}).values()]
    lines = [[line.strip() for line in content.splitlines() if line.strip()] for content in contents]
    labels = np.repeat(np.arange(len(lines)), [len(one) for one in lines])
    return Labelled([name for one in lines for name in one], labels.astype(np.int64), LANGUAGES)


# ---- film reviews ----------------------------------------------------------------------------------------------------
REVIEWS = Source("https://www.cs.cornell.edu/people/pabo/movie-review-data/rt-polaritydata.tar.gz")


def movie_reviews(folder: str | os.PathLike | None = None) -> Labelled:
    """10,662 sentences from film reviews, 0 negative, 1 positive, half of each, in lower case (Pang, Lee 2005).

    Read from ``rt-polarity.neg`` and ``rt-polarity.pos`` in `folder`, else ``$MINIGRAD_DATA/rt-polarity``; else
    downloaded.
    """
    where = Path(folder) if folder is not None else local_folder("rt-polarity")
    files = ["rt-polarity.neg", "rt-polarity.pos"]
    if where is not None and all((where / file).is_file() for file in files):
        contents = [_text(where / file) for file in files]
    elif folder is not None:
        raise DataError(f"movie_reviews: {where} lacks {' or '.join(files)}.")
    else:
        archive = fetched("rt-polarity", {"rt-polaritydata.tar.gz": REVIEWS})["rt-polaritydata.tar.gz"]
        found = members(archive, {f: f"rt-polaritydata/{f}" for f in files})
        contents = [found[f].decode("cp1252") for f in files]  # the archive is older than UTF-8's victory
    lines = [[line.strip() for line in content.splitlines() if line.strip()] for content in contents]
    labels = np.repeat(np.arange(2), [len(one) for one in lines]).astype(np.int64)
    return Labelled(lines[0] + lines[1], labels, ("negative", "positive"))


# ---- captions --------------------------------------------------------------------------------------------------------
MULTI30K = "https://raw.githubusercontent.com/multi30k/dataset/master/data/task1/raw/"
MULTI30K_PARTS = {"train": "train", "validation": "val", "test": "test_2016_flickr"}


def multi30k(
    part: str, languages: tuple[str, str] = ("de", "en"), folder: str | os.PathLike | None = None
) -> list[tuple[str, str]]:
    """Pairs of the same caption in two of "en", "de", "fr": 29,000 "train", 1,014 "validation", 1,000 "test" (Elliott,
    Frank, Sima'an, Specia 2016, arXiv:1605.00459).

    Read from ``train.de.gz`` and so on in `folder`, else ``$MINIGRAD_DATA/multi30k``; else downloaded.
    """
    if part not in MULTI30K_PARTS:
        raise DataError(f"multi30k: part must be one of {', '.join(MULTI30K_PARTS)}: got {part!r}.")
    if len(languages) != 2 or not set(languages) <= {"en", "de", "fr"}:
        raise DataError(f'multi30k: languages must be two of "en", "de", "fr": got {languages!r}.')
    files = [f"{MULTI30K_PARTS[part]}.{language}.gz" for language in languages]
    paths = fetched("multi30k", {file: Source(MULTI30K + file) for file in files}, folder)
    first, second = (_text(paths[file]).splitlines() for file in files)
    if len(first) != len(second):
        raise DataError(f"multi30k: {' and '.join(files)} have {len(first)} and {len(second)} lines: not one pair.")
    return [(a.strip(), b.strip()) for a, b in zip(first, second)]


def _text(path: Path) -> str:
    """A text file in UTF-8, gzipped or not."""
    try:
        content = path.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
        return content.decode("utf-8")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: the gzip file is damaged or incomplete ({error}). Fetch it again.") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not a text in UTF-8 ({error.reason} at byte {error.start}).") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}.") from None

"""Where the files of data sets come from: a folder that has them, else the internet, once, into a cache.

``$MINIGRAD_DATA/mnist/...`` first, if that variable is set; then the cache, filled by pooch, which shows its progress
and checks every file's hash. Offline and without the files the error says which ones to put where.
"""

from __future__ import annotations

import os
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from ..errors import DataError
from ..extras import require


class Source(NamedTuple):
    """A file on the internet: its address and its hash, ``md5:...`` or a sha256; None: not known to stay the same."""

    url: str
    hash: str | None = None


def local_folder(name: str) -> Path | None:
    """``$MINIGRAD_DATA/name`` if there is such a folder."""
    root = os.environ.get("MINIGRAD_DATA")
    folder = Path(root) / name if root else None
    return folder if folder is not None and folder.is_dir() else None


def fetched(name: str, sources: Mapping[str, Source], folder: str | os.PathLike | None = None) -> dict[str, Path]:
    """The files of a data set: from `folder`, else ``$MINIGRAD_DATA/name``, else the cache, else downloaded."""
    where = Path(folder) if folder is not None else local_folder(name)
    if where is not None:
        missing = [file for file in sources if not (where / file).is_file()]
        if not missing:
            return {file: where / file for file in sources}
        if folder is not None:
            raise DataError(f"{name}: {where} lacks {', '.join(missing)}. Put them there, or leave the folder out.")
    return {file: _downloaded(name, file, source) for file, source in sources.items()}


def _downloaded(name: str, file: str, source: Source) -> Path:
    pooch = require("pooch", extra="train", use=f"downloading {name}")
    cache = Path(os.environ.get("MINIGRAD_CACHE_DIR") or pooch.os_cache("minigrad"), "data", name)
    pooch.get_logger().setLevel("WARNING")  # its progress bar says enough
    try:
        return Path(
            pooch.retrieve(
                source.url, source.hash, file, cache, downloader=pooch.HTTPDownloader(progressbar=True, timeout=30)
            )
        )
    except Exception as error:  # whatever requests, the operating system or a wrong hash raise
        wanted = os.environ.get("MINIGRAD_DATA")
        place = Path(wanted or "FOLDER", name, file)
        hint = "" if wanted else ", and set MINIGRAD_DATA=FOLDER"
        raise DataError(
            f"{name}: {file} is not there and could not be downloaded from {source.url} "
            f"({type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no reason given'}). "
            f"Put the file at {place}{hint}."
        ) from None


def members(archive: Path, wanted: Mapping[str, str]) -> dict[str, bytes]:
    """The contents of some members of a zip or tar archive: {key: content} for wanted {key: name in the archive}.

    Nothing is unpacked to disk, so that no name in an archive can lead out of a folder.
    """
    found: dict[str, bytes] = {}
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as packed:
                inside = {_plain(n): n for n in packed.namelist()}
                for key, name in wanted.items():
                    if name in inside:
                        found[key] = packed.read(inside[name])
        else:
            with tarfile.open(archive) as packed:
                keys = {name: key for key, name in wanted.items()}
                for member in packed:
                    if _plain(member.name) in keys and member.isfile():
                        file: IO[bytes] | None = packed.extractfile(member)
                        found[keys[_plain(member.name)]] = file.read() if file else b""
    except (OSError, EOFError, tarfile.TarError, zipfile.BadZipFile, ValueError) as error:
        raise DataError(f"{archive}: damaged or incomplete ({error}). Delete it and fetch it again.") from None
    missing = [name for key, name in wanted.items() if key not in found]
    if missing:
        raise DataError(f"{archive}: the archive lacks {', '.join(missing)}. Is it another one?")
    return found


def _plain(name: str) -> str:
    return str(PurePosixPath(name))

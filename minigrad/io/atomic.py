"""Files that are complete or not there: written beside their place, then moved into it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from ..errors import DataError


def atomic_write(path: str | os.PathLike, content: bytes | str) -> Path:
    """Put `content` into the file, all or nothing: a crash or a full disk leaves the old file as it was."""
    path = Path(path)
    content = content.encode() if isinstance(content, str) else content
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # before the rename: or a power cut could leave the new name on missing data
        os.chmod(temporary, _mode())
        os.replace(temporary, path)
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror or error}.") from None
    finally:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)
    return path


def _mode() -> int:
    """What open() would give a new file; mkstemp makes it private."""
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def writable_folder(path: str | os.PathLike) -> Path:
    """The folder, made if need be, after trying that a file can be written there."""
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise DataError(f"{path}: no files can be written there: {error.strerror or error}.") from None
    return path

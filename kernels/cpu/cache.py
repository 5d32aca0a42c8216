"""`jit`: Numba's njit with a disk cache of our own, one file for each compiled function.

Numba's cache keeps an index for each function, which two processes that start at once can overwrite for each other, and
does not notice a change in a function that is inlined from another file. Here the name of a file is the digest of all
that the machine code depends on: the source of the module and of those it imports from this folder, the values closed
over, the types, the processor, and the versions of Python, NumPy, Numba and minigrad. A file is written beside its
place and moved there at once; what is unreadable, cut short or altered is compiled again; a folder that cannot be
written is only read.

The folder: $MINIGRAD_CACHE_DIR, else $NUMBA_CACHE_DIR, else minigrad/kernels in the user's cache folder. It may be
deleted at any time.
"""

import functools
import hashlib
import inspect
import os
import pickle
import re
import sys
import tempfile
from pathlib import Path

import llvmlite
import numba
import numpy as np
from numba import njit
from numba.core import compiler
from numba.core.caching import _Cache
from numba.core.serialize import dumps

from ..._version import __version__

_VERSIONS = (__version__, sys.version, np.__version__, numba.__version__, llvmlite.__version__)
_IMPORT = re.compile(r"^from \.(\w*) import \(?([\w, ]*)", re.MULTILINE)


def folder():
    """Where compiled kernels are kept."""
    if given := os.environ.get("MINIGRAD_CACHE_DIR") or os.environ.get("NUMBA_CACHE_DIR"):
        return Path(given) / "minigrad"
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "minigrad" / "kernels"


@functools.cache
def _source(path):
    """The digest of a source file and of the modules it imports from its own folder."""
    seen, todo, digest = set(), [Path(path)], hashlib.sha256()
    while todo:
        file = todo.pop()
        if file in seen or not file.exists():
            continue
        seen.add(file)
        text = file.read_text(encoding="utf-8")
        digest.update(text.encode())
        for module, names in _IMPORT.findall(text):
            todo += [file.parent / f"{name.strip()}.py" for name in ([module] if module else names.split(","))]
    return digest.hexdigest()


class KernelCache(_Cache):
    """What a dispatcher asks for machine code and gives it to."""

    def __init__(self, function, text=None):
        self.function, self.enabled = function, True
        self.source = text if text is not None else _source(inspect.getfile(function))

    @property
    def cache_path(self):
        return str(folder())

    def file(self, signature, codegen):
        """The file of the machine code for these types on this processor."""
        f = self.function
        held = dumps(tuple(cell.cell_contents for cell in f.__closure__ or ()))
        parts = (*_VERSIONS, f.__module__, f.__qualname__, self.source, str(signature), codegen.magic_tuple())
        digest = hashlib.sha256(repr(parts).encode() + f.__code__.co_code + held).hexdigest()
        return folder() / f"{f.__module__.rsplit('.', 1)[-1]}.{f.__name__}-{digest[:32]}.nbc"

    def load_overload(self, sig, target_context):
        target_context.refresh()
        if not self.enabled:
            return None
        try:
            data = self.file(sig, target_context.codegen()).read_bytes()
            if hashlib.sha256(data[32:]).digest() != data[:32]:
                return None
            return compiler.CompileResult._rebuild(target_context, *pickle.loads(data[32:]))
        except Exception:  # whatever is wrong with the file, compiling again mends it
            return None

    def save_overload(self, sig, data):
        if not self.enabled or data.library.has_dynamic_globals:
            return
        code = dumps(data._reduce())
        path = self.file(sig, data.codegen)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            number, temporary = tempfile.mkstemp(prefix=".", suffix=".part", dir=path.parent)
            try:
                with os.fdopen(number, "wb") as out:
                    out.write(hashlib.sha256(code).digest() + code)
                os.replace(temporary, path)
            except OSError:
                os.unlink(temporary)
        except OSError:  # read-only, or full: the code serves this process
            pass

    def enable(self):
        self.enabled = True

    def disable(self):
        self.enabled = False

    def flush(self):
        """Nothing is kept back."""


def jit(signature=None, *, text=None, **options):
    """Decorator: compiled without the interpreter, NumPy's error model, cached; with a signature at once, else at the
    first call with new types. text: the source, where it is not that of a file.
    """

    def decorate(function):
        dispatcher = njit(**{"nogil": True, "error_model": "numpy"} | options)(function)
        if not hasattr(dispatcher, "compile"):  # NUMBA_DISABLE_JIT
            return dispatcher
        dispatcher._cache = KernelCache(function, text)
        if signature is not None:
            dispatcher.compile(signature)
            dispatcher.disable_compile()
        return dispatcher

    return decorate


def address(signature, *, text=None, **options):
    """Decorator: as `jit` with a signature, but gives (the compiled function, its address for callers in C)."""

    def decorate(function):
        compiled = jit(signature, text=text, **options)(function)
        result = compiled.overloads[signature.args]
        return compiled, result.library.get_pointer_to_function(result.fndesc.llvm_cfunc_wrapper_name)

    return decorate

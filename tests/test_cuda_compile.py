"""Every CUDA kernel, for every type of numbers, is what NVIDIA's compiler takes, for two generations of GPUs.

NVRTC needs no GPU and no driver. It comes with the extra ``cuda-check``, or with a CUDA toolkit.
"""

import ctypes
import functools
import glob
import importlib.util
import os
from pathlib import Path

import pytest
from minigrad.kernels.cuda import attention_mma, elementwise, launch, tensor_cores, when

from minigrad.primitive import PRIMITIVES

ARCHITECTURES = ["sm_80", "sm_90"]
VARIANTS = {  # what else a launcher defines, for each file
    "softmax": [{}],
    "cross_entropy": [{"L": "i64"}, {"L": "int"}],
    "norm": [{"M": "T"}, {"M": "A"}],
    "reduce": [{"Op": op, "In": i, "Out": o} for op, i, o in (("Sum", "T", "T"), ("Max", "T", "A"), ("Min", "A", "T"))],
    "indexing": [{"L": "i64"}, {"L": "int"}],
    "pool": [{"Index": "int"}, {"Index": "i64"}],
    "dropout": [{}],
    "recurrent": [{}],
    "optim": [{}],
    "conv": [{"Out": "T"}, {"Out": "A"}],
    "attention": [
        {"D": d, "E": e, "TILE": tile, "MASKED": masked, "MaskType": kind, "DROPS": drops}
        for d, e, tile, masked, kind, drops in (
            (64, 64, 64, 0, "bool", 0),
            (40, 24, 32, 1, "bool", 1),
            (128, 128, 64, 2, "T", 0),
        )
    ],
    "attention_mma": [
        {"D": d, "E": e, "MASKED": masked, "MaskType": kind, "DROPS": drops, "WARPS": attention_mma.WARPS}
        | {"FORWARD_M": m, "FORWARD_KEYS": forward, "QUERIES_M": m, "QUERIES_KEYS": queries}
        | {"KEYS_M": m, "KEYS_QUERIES": keys}
        for d, e, masked, kind, drops, m, forward, queries, keys in (
            (64, 64, 0, "bool", 0, 2, 64, 64, 32),
            (37, 24, 2, "T", 1, 1, 16, 16, 16),
        )
    ],
    "channels_last": [{}],
    "conv_mma": [{"TILES": 4, "STAGES": 3}, {"TILES": 1, "STAGES": 2}],
    "elementwise": [],  # see below: the text is generated
}


def _nvidia(package, pattern):
    """Files of one of NVIDIA's packages on PyPI, or of a toolkit."""
    spec = importlib.util.find_spec("nvidia")
    roots = [Path(p) / package for p in spec.submodule_search_locations] if spec else []
    roots += [Path(p) for p in (os.environ.get("CUDA_PATH", ""), "/usr/local/cuda") if p]
    return [f for root in roots for f in sorted(glob.glob(str(root / pattern)))]


@functools.cache
def nvrtc():
    for path in [*_nvidia("cuda_nvrtc", "lib*/libnvrtc.so.*"), *_nvidia("cu13", "lib*/libnvrtc.so.*")]:
        if ".alt" not in path:
            return ctypes.CDLL(path)
    pytest.skip("NVRTC is not installed: pip install 'minigrad-engine[cuda-check]'")


@functools.cache
def headers():
    """Folders with cuda_fp16.h."""
    found = [*_nvidia("cuda_runtime", "include/cuda_fp16.h"), *_nvidia("cu13", "include/cuda_fp16.h")]
    return tuple(f"-I{os.path.dirname(f)}" for f in found[:1])


def compiled(code, options):
    """The machine code of a text."""
    library, program = nvrtc(), ctypes.c_void_p()
    assert library.nvrtcCreateProgram(ctypes.byref(program), code.encode(), b"kernel.cu", 0, None, None) == 0
    given = (ctypes.c_char_p * len(options))(*[o.encode() for o in options])
    failed = library.nvrtcCompileProgram(program, len(options), given)
    size = ctypes.c_size_t()
    library.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    library.nvrtcGetProgramLog(program, log)
    assert not failed and not log.value, log.value.decode()
    kind = "PTX" if any(o.startswith("-arch=compute") for o in options) else "CUBIN"
    getattr(library, f"nvrtcGet{kind}Size")(program, ctypes.byref(size))
    binary = ctypes.create_string_buffer(size.value)
    assert getattr(library, f"nvrtcGet{kind}")(program, binary) == 0
    library.nvrtcDestroyProgram(ctypes.byref(program))
    return binary.raw


def options(dtype, architecture):
    if dtype in ("float16", "bfloat16") and not headers():
        pytest.skip("cuda_fp16.h is not installed: pip install 'minigrad-engine[cuda-check]'")
    return ("-std=c++17", f"-arch={architecture}", "-diag-suppress=177", *headers())  # 177: what a kernel does not use


def names(code):
    return [line.split("KERNEL ", 1)[1].split("(")[0] for line in code.splitlines() if line.startswith("KERNEL ")]


def test_every_file_is_listed():
    assert {f.stem for f in launch.FOLDER.glob("*.cu")} == set(VARIANTS)


def on_tensor_cores(name):
    return name.endswith("_mma")


@pytest.mark.parametrize("name, dtype", [(name, dtype) for name, variants in VARIANTS.items() if variants
                                         for dtype in launch.TYPES
                                         if not (on_tensor_cores(name) and dtype == "float64")])  # fmt: skip
def test_compiles(name, dtype):
    """float32: both GPUs for the first variant, no machine code of the others; other types: the first, by turns."""
    source, full = (tensor_cores.source if on_tensor_cores(name) else launch.Source)(name), dtype == "float32"
    for k, defines in enumerate(VARIANTS[name] if full else VARIANTS[name][:1]):
        turn = list(launch.TYPES).index(dtype)
        others = "compute_80" if k else ARCHITECTURES[turn % 2]
        for architecture in ARCHITECTURES if full and k == 0 else [others]:
            code = source.code(dtype, tuple(defines.items()))
            binary = compiled(code, options(dtype, architecture))
            assert all(kernel.encode() in binary for kernel in names(code))


def elementwise_texts():
    """(name, Elementwise) of all primitives and rules that have kernels."""
    found = [(name, elementwise.kernel(name)) for name in when.generated(PRIMITIVES)]
    for name, p in PRIMITIVES.items():
        if p.inline:
            made = [elementwise.rule(name, r.function, r.needs, p.defaults) for r in p.rules.values()]
            found += [(f"{name}_rule_{i}", m.kernel) for i, m in enumerate(made) if m]
    return found


def together(dtype, kernels):
    """One text with the elementwise kernels of many expressions: (name, Elementwise, kinds)."""
    body, text = launch.text("elementwise.cu"), ""
    for name, kernel, kinds in kernels:
        preamble, renamed = kernel.source(kinds).preamble, body.replace("KERNEL elementwise(", f"KERNEL {name}(")
        if not text:
            text = launch.Source("elementwise").code(dtype, (("Index", "int"),)).replace(body, "")
        macros = ["ARRAYS", "NUMBERS", "COMPUTE", "POINTER", "NUMBER", "FETCH", "ONE", "TYPED"]
        text += preamble + renamed + "".join(f"#undef {m}\n" for m in macros)
    return text


@pytest.mark.parametrize("dtype, architecture", list(zip(launch.TYPES, ARCHITECTURES[::-1] * 2)))
def test_elementwise_compiles(dtype, architecture):
    """Some of the texts; in float32 all, though not down to machine code, which takes longer."""
    every = [(f"k_{n}", k, ("T",) * len(k.inputs) + ("number",) * len(k.parameters)) for n, k in elementwise_texts()]
    mixed = {"add": ("T", "number"), "where": ("bool", "T", "number"), "multiply": ("number", "T")}
    every += [(f"mixed_{n}", elementwise.kernel(n), kinds) for n, kinds in mixed.items()]
    for chosen, target in [(every[::8], architecture)] + [(every, "compute_80")] * (dtype == "float32"):
        binary = compiled(together(dtype, chosen), options(dtype, target))
        assert all(name.encode() in binary for name, *_ in chosen)


def test_a_wrong_kernel_is_refused():
    with pytest.raises(AssertionError, match="undefined"):
        compiled('extern "C" __global__ void f(float *x) { *x = y; }', options("float32", "sm_90"))

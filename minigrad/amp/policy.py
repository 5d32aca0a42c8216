"""Which primitives autocast computes in which dtype: the one table, by name.

As PyTorch's lists for CUDA: what tensor cores do well runs in the half type, what sums many terms or has a wide range
in float32, and all else in the dtype of its operands.
"""

from __future__ import annotations

from ..errors import ArgumentError
from ..primitive import PRIMITIVES

HALF = (
    *("matmul", "linear", "einsum", "attention", "convolution", "convolution_input", "convolution_weight"),
    *("lstm_sequence", "gru_sequence", "rnn_sequence", "lstm_gates", "gru_gates"),
)
FLOAT32 = (
    *("softmax", "log_softmax", "logsumexp", "softplus", "cross_entropy", "binary_cross_entropy", "ctc_loss"),
    *("layer_norm", "rms_norm", "group_norm", "sum", "prod", "cumsum", "cumprod", "logcumsumexp", "var", "std"),
    *("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "power", "square", "reciprocal", "rsqrt"),
    *("asin", "acos", "tan", "sinh", "cosh", "erfinv", "erfcx", "lgamma", "digamma", "logaddexp", "xlogy", "logit"),
    *("solve", "inv", "solve_triangular", "det", "slogdet", "cholesky", "qr", "eigh", "eigvalsh", "svd", "svdvals"),
    *("lu_factor", "matrix_exp", "pinv", "dft", "rdft", "irdft"),
)
# float32 inside, where running statistics are kept, and the first output in the dtype of x.
FLOAT32_INSIDE = ("batch_norm", "batch_norm_inference")
WIDEST = ("concat", "stack", "where", "scatter", "atan2", "hypot", "lerp")

POLICY = {name: policy for policy in ("HALF", "FLOAT32", "FLOAT32_INSIDE", "WIDEST") for name in globals()[policy]}


def set_policy(primitive: str, policy: str | None) -> None:
    """How autocast is to run a primitive, one of your own for instance: "half", "float32", "float32_inside" (the first
    output in the dtype of the first input), "widest" (of its float operands), or None (as they come).

    >>> set_policy("tanh", "float32")
    >>> set_policy("tanh", None)
    """
    if primitive not in PRIMITIVES:
        raise ArgumentError(f"set_policy: there is no primitive {primitive!r}. `minigrad ops` lists them.")
    if policy is None:
        POLICY.pop(primitive, None)
    elif policy in ("half", "float32", "float32_inside", "widest"):
        POLICY[primitive] = policy.upper()
    else:
        raise ArgumentError(
            f'set_policy: policy must be "half", "float32", "float32_inside", "widest" or None: got {policy!r}.'
        )

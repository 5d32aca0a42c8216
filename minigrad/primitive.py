"""What a primitive is: one declaration that everything else is derived from.

A *primitive* is an operation together with its gradient rules. This file knows how to declare one; the declarations
are in ``ops/``. Nothing here knows Tensor, a backend, or how gradients travel.

    exp = elementwise("exp", "exp({x})", x=lambda g, y: g * y, doc="y = e**x.")

    @primitive(shape=reduced, samples=[case((3, 4), axis=1)])
    def sum(xp, x, *, axis=None, keepdims=False): ...
    @sum.rule("x")
    def _(F, g, shapes, axis): ...

A *rule* is a vector-Jacobian product: it receives ``g`` = dL/dy and returns dL/dx. Its parameter names say what it
needs, and only that stays alive until the backward pass:

    g            dL/dy, shaped like the output          F       the primitives, for whatever g is made of
    y            the output                             shapes  the shapes of the inputs, ``shapes.x``
    any input    by the forward's name                  i       which of the variadic inputs is asked for
    any keyword  of the forward                         any name in ``saves`` (fused ops only)

A rule returns dL/dx in the broadcast shape; the walk sums it back to the shape of x, once, for every operation.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections import namedtuple
from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np

from .errors import AxisError, ShapeError

PRIMITIVES: dict[str, Primitive] = {}
DECLARED: list[Callable[[Primitive], Any]] = []  # who wants to know of every new primitive
ALIASES: dict[str, str] = {}  # another name that users type -> the primitive's
MANY = sys.maxsize  # outputs=MANY: as many as the keywords of the call say; rules may then read g and keywords only


class Spec(NamedTuple):
    """An array reduced to what a shape rule may look at."""

    shape: tuple[int, ...]
    dtype: Any


class Case(NamedTuple):
    """One sample call of a primitive, for the generated tests: a tuple is the shape of a float array."""

    args: tuple
    params: dict


class ints(NamedTuple):
    """In a sample: an integer array of this shape with values from low to high - 1."""

    shape: tuple[int, ...]
    high: int
    low: int = 0


class bools(NamedTuple):
    """In a sample: a random boolean array of this shape."""

    shape: tuple[int, ...]


class within(NamedTuple):
    """In a sample: a float array of this shape with values between two bounds."""

    shape: tuple[int, ...]
    low: float
    high: float


def case(*args: Any, **params: Any) -> Case:
    return Case(args, params)


class Rule(NamedTuple):
    """``function`` gives the gradient for the inputs named in ``of`` and reads the values named in ``needs``."""

    of: tuple[str, ...]
    function: Callable
    needs: tuple[str, ...]


class Step(NamedTuple):
    """One rule to run, for the inputs at `positions`; it returns one gradient, or (places) several in this order."""

    rule: Rule
    positions: tuple[int, ...]
    places: tuple[int, ...] | None


class Plan:
    """What recording one application costs and keeps: the rules that will run, and the values they name."""

    __slots__ = ("body", "keeps_output", "keeps_shapes", "missing", "names", "pick", "primitive", "shaped", "steps")

    def __init__(
        self,
        primitive: Any,
        steps: tuple[Step, ...],
        names: tuple[str, ...],
        pick: Callable,
        body: tuple[bool, bool] = (False, False),
        missing: tuple[int, ...] = (),
        shaped: bool = False,
    ):
        self.primitive = primitive
        self.steps = steps
        self.names = names  # of the saved values, in the order of `pick`; "shapes" last
        self.pick = pick  # (*outputs, *inputs) -> the values to save
        self.body = body  # is the body differentiated instead: [False] on arrays, [True] where the gradient is recorded
        self.missing = missing  # positions of inputs that have no rule, and no body serves them
        self.keeps_output, self.keeps_shapes = "y" in names, "shapes" in names
        self.shaped = shaped  # do rules read shapes that need not be kept, as every input's node has its own?


def _declaring_module() -> str:
    """Where the declaration that is running stands."""
    frame: Any = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__") == __name__:
        frame = frame.f_back
    return str(frame.f_globals.get("__name__"))


class Primitive:
    """An operation: forward, shape rule, gradient rules, and what tests and kernels need. See the module docstring."""

    casts = False  # its function takes dtype=, the dtype to compute in: sums, whose terms may need a wider one
    pytorch: tuple[Callable, tuple[type, ...]] | None = None  # what answers dim=, and an axis of these types
    replaces = False  # the forward of an elementwise row is to be used even if the library has a function of its name

    def __init__(
        self,
        forward: Callable,
        *,
        name: str | None = None,
        shape: Callable,
        doc: str | None = None,
        inline: str | None = None,
        domain: str = "",
        saves: Sequence[str] = (),  # names of what the forward returns behind the first output
        outputs: int = 1,
        fused: bool = False,
        view: bool = False,
        kind: str = "",
        samples: Sequence[Case] = (),
        no_gradient: str = "",
        no_second: str = "",
        checked: bool | None = None,
        public: bool = True,
        complex_ok: bool = False,
    ):
        self.forward, self.shape, self.inline, self.domain = forward, shape, inline, domain
        self.name = name or forward.__name__
        self._doc = doc or forward.__doc__ or ""
        self.saves, self.outputs, self.fused, self.view = tuple(saves), outputs, fused, view
        self.kind, self.samples, self.public, self.complex_ok = kind, tuple(samples), public, complex_ok
        self.no_gradient, self.no_second = no_gradient, no_second
        # does the shape rule run before the forward? A body would compute something from shapes that do not fit
        self.checked = fused and not inline if checked is None else checked
        code = forward.__code__  # read directly: inspect.signature is too slow for every row at import
        positional, keyword_only = code.co_argcount, code.co_kwonlyargcount
        names = code.co_varnames
        self.variadic = bool(code.co_flags & inspect.CO_VARARGS)
        self.inputs = names[1:positional] + names[positional + keyword_only :][: self.variadic]  # after xp or F
        self.optional = set(names[positional - len(forward.__defaults__ or ()) : positional])
        given = forward.__kwdefaults__ or {}
        self.defaults = {
            k: given.get(k, inspect.Parameter.empty) for k in names[positional : positional + keyword_only]
        }
        self.rules: dict[str, Rule] = {}
        self.jvp: Callable | None = None  # see `forward_rule`
        self.batch: Callable | None = None  # see `batch_rule`
        self.plans: dict[int, Plan | None] = {}
        self.kernels: dict[str, list] = {}  # backend name -> [(when, load), ...], newest last
        self.impl: dict[Any, Callable] = {}  # backend -> resolved callable
        if taken := {"F", "g", "y", "i", "shapes"} & {*self.inputs, *self.defaults}:
            raise ValueError(
                f"primitive {self.name}: {sorted(taken)} mean something else in rules; call the input otherwise"
            )
        self.declared_in = _declaring_module()
        if self.name in PRIMITIVES:
            other = PRIMITIVES[self.name].declared_in
            if other != self.declared_in or other.startswith("minigrad."):
                raise ValueError(f"primitive {self.name!r} is declared twice, first in {other}: choose another name.")
        PRIMITIVES[self.name] = self  # in the place of a former one where a cell of a notebook is run again
        for heard in DECLARED:
            heard(self)

    def __repr__(self) -> str:
        return f"<primitive {self.name}{self.signature}>"

    @cached_property
    def signature(self) -> inspect.Signature:
        """The inputs and keywords, without xp or F."""
        return inspect.Signature(list(inspect.signature(self.forward).parameters.values())[1:])

    @cached_property
    def doc(self) -> str:
        return inspect.cleandoc(self._doc)

    @cached_property
    def Shapes(self) -> Any:
        return namedtuple("Shapes", self.inputs)

    def shapes(self, found: list) -> tuple:
        """What rules receive as `shapes`: those of the inputs, None for one that is not given."""
        if self.variadic:
            return tuple(found)
        return self.Shapes._make(found + [None] * (len(self.inputs) - len(found)))

    def rule(self, *of: str) -> Callable[[Callable], Primitive]:
        """Decorator: the function is the gradient rule for the inputs named (several: it returns that many
        gradients)."""

        def declare(function: Callable) -> Primitive:
            needs = function.__code__.co_varnames[: function.__code__.co_argcount]
            known = {"F", "g", "y", "shapes", "i", *self.inputs, *self.defaults, *self.saves}
            if unknown := set(needs) - known | set(of) - set(self.inputs):
                raise ValueError(f"rule of {self.name}: {sorted(unknown)} are not among {sorted(known)}")
            rule = Rule(of, function, needs)
            self.rules |= dict.fromkeys(of, rule)
            self.plans.clear()
            return self

        return declare

    def forward_rule(self, function: Callable) -> Primitive:
        """Decorator: ``function(F, primals, tangents, **keywords)`` gives (y, dy), the tangent of y from those of the
        inputs, of which None is zero. Optional: without it forward mode uses the rules or the body."""
        self.jvp = function
        return self

    def batch_rule(self, function: Callable) -> Primitive:
        """Decorator: ``function(primitive, values, batched, keywords)`` runs all samples of a vmap at once. values[i]
        has the samples' axis in front where batched[i], which is so for one at least; the outputs have it in front.
        NotImplemented leaves it to broadcasting, the body, or a loop, as without a rule."""
        self.batch = function
        return self

    def input(self, i: int) -> str:
        """The name of the i-th input; all inputs from the variadic one on share its name."""
        return self.inputs[min(i, len(self.inputs) - 1)]

    def plan(self, key: int) -> Plan | None:
        """The plan for one pattern of inputs. Bit i of key: input i takes part; the highest bit marks their number.

        None: the output carries no gradient (a comparison, an index), so nothing is recorded.
        """
        count = key.bit_length() - 1
        live = [i for i in range(count) if key >> i & 1]
        if self.kind in ("bool", "index"):
            self.plans[key] = None
            return None
        rules: dict[Any, tuple[Rule, list[int]]] = {}
        for i in live:
            if rule := self.rules.get(self.input(i)):
                once = (id(rule), i) if "i" in rule.needs else id(rule)  # a joint rule runs once, an `i` rule per input
                rules.setdefault(once, (rule, []))[1].append(i)
        needs = {name for rule, _ in rules.values() for name in rule.needs}
        body = (not self.ruled(live, graph=False), not self.ruled(live, graph=True)) if self.fused else (False, False)
        if any(body):
            needs |= set(self.inputs)  # to run the body again
        outs = max(self.outputs, 1 + len(self.saves))
        slots: dict[str, Any] = {"y": 0 if self.outputs == 1 else slice(0, self.outputs)}
        slots |= {name: 1 + k for k, name in enumerate(self.saves)}
        slots |= {name: outs + k for k, name in enumerate(self.inputs[:count])}
        if self.variadic:
            slots[self.inputs[-1]] = slice(outs + len(self.inputs) - 1, None)
        names = tuple(name for name in slots if name in needs)
        keeps_shapes = "shapes" in needs and len(live) < count
        plan = Plan(
            self,
            tuple(
                Step(rule, tuple(at), tuple(rule.of.index(self.input(i)) for i in at) if len(rule.of) > 1 else None)
                for rule, at in rules.values()
            ),
            (*names, "shapes") if keeps_shapes else names,
            _picker([slots[name] for name in names]),
            body,
            () if self.fused else tuple(i for i in live if self.input(i) not in self.rules),
            "shapes" in needs and not keeps_shapes,
        )
        self.plans[key] = plan
        return plan

    def ruled(self, live: Sequence[int], *, graph: bool) -> bool:
        """True if rules serve all these inputs; one that reads a fused op's saves does not serve a recorded
        gradient."""
        rules = [self.rules.get(self.input(i)) for i in live]
        return all(r is not None and not (graph and set(r.needs) & set(self.saves)) for r in rules)


def _picker(slots: list) -> Callable:
    """values -> tuple of values[slot] for each slot, at C speed where there is a C way."""
    if not slots:
        return lambda values: ()
    if len(slots) > 1:
        return itemgetter(*slots)
    (slot,) = slots
    return itemgetter(slice(slot, slot + 1)) if isinstance(slot, int) else lambda values: (values[slot],)


def primitive(**fields: Any) -> Callable[[Callable], Primitive]:
    """Decorator: ``forward(xp, *arrays, **keywords)`` becomes a primitive."""
    return lambda forward: Primitive(forward, **fields)


def fused(**fields: Any) -> Callable[[Callable], Primitive]:
    """Decorator: ``body(F, *inputs, **keywords)``, written in primitives, becomes one primitive.

    The gradient of any order is the derivative of the body. A rule is optional speed; if it reads saved values it is
    taken only when no graph of the gradient is asked for.
    """
    return lambda body: Primitive(body, fused=True, **fields)


# ---- elementwise -------------------------------------------------------------------------------------------------


def elementwise(
    name: str,
    text: str,
    *,
    doc: str,
    domain: str = "",
    kind: str = "same",
    params: dict[str, Any] | None = None,
    forward: Callable | None = None,
    no_gradient: str = "",
    complex_ok: bool = False,
    public: bool = True,
    **rules: Callable | None,
) -> Primitive:
    """Declare an elementwise primitive from its scalar text, e.g. ``"exp({x})"``, which may call any elementwise
    primitive.

    The inputs are the names in braces, in order of appearance, except those in ``params``, which become keywords.
    A backend uses its library's function of this name (``numpy.exp``), else the text, evaluated over arrays; a row
    without rules is differentiated through its text. ``forward(xp, *inputs)`` replaces the text where neither serves.
    domain: an expression in the inputs that holds where the operation is defined and smooth.
    kind: the output's dtype, "same" as the promoted inputs, "float", "real" (of complex inputs, that of their parts),
    "real float", or "bool".
    """
    params = params or {}
    fields = list(dict.fromkeys(re.findall(r"{(\w+)}", text)))
    inputs = [field for field in fields if field not in params]
    composed = forward is None and not no_gradient and not text.startswith(f"{name}(")
    replaces = forward is not None
    if forward is None:  # "exp({x})" becomes  lambda F, x: F.exp(x)
        source = re.sub(r"([a-z_0-9]+)\(", r"F.\1(", text).format(**{f: f for f in fields})
        keywords = "".join(f", {k}={v!r}" for k, v in params.items())
        forward = eval(f"lambda F, {', '.join(inputs)}{', *' + keywords if params else ''}: {source}")
    p = Primitive(
        forward,
        name=name,
        shape=broadcast,
        doc=doc,
        inline=text,
        domain=domain,
        kind=kind,
        fused=composed,
        no_gradient=no_gradient,
        complex_ok=complex_ok,
        public=public,
    )
    p.replaces = replaces
    for of, rule in rules.items():
        if rule is not None:
            p.rule(of)(rule)
    return p


# ---- kernels -----------------------------------------------------------------------------------------------------


def kernel(name: str, *, backend: str, when: Callable[..., bool] = lambda *a, **k: True) -> Callable:
    """Decorator: the function implements primitive `name` on `backend` for the calls that ``when(*arrays, **params)``
    admits.

    The shape rule has run before, so a compiled kernel need not check bounds. The newest registration wins.
    """

    def declare(function: Callable) -> Callable:
        lazy_kernel(name, backend=backend, when=when, load=lambda: function)
        return function

    return declare


def lazy_kernel(name: str, *, backend: str, when: Callable[..., bool], load: Callable[[], Callable]) -> None:
    """As `kernel`, but ``load()`` imports the implementation at its first use, so that registering costs nothing."""
    if name not in PRIMITIVES:
        raise ShapeError(f"kernel: there is no primitive named {name!r}. Declare it in minigrad/ops first.")
    p = PRIMITIVES[name]
    p.kernels.setdefault(backend, []).append((when, load))
    for resolved in p.impl:
        resolved.F.__dict__.pop(name, None)
    p.impl.clear()


# ---- stock shape rules ---------------------------------------------------------------------------------------------
# rule(op name, *specs, **params) -> Spec. It explains a failed forward, guards kernels, and serves tracing.


def broadcast(op: str, *specs: Any, **params: Any) -> Spec:
    """Elementwise: shapes broadcast as in NumPy, dtypes promote."""
    p = PRIMITIVES.get(op)
    specs = tuple(s for s in specs if s is not None)
    shapes = (getattr(s, "shape", ()) for s in specs)  # a Python number has none
    return Spec(broadcast_shapes(op, *shapes), result_dtype(p.kind if p else "same", *specs))


def broadcast_shapes(op: str, *shapes: tuple[int, ...]) -> tuple[int, ...]:
    if shapes and shapes.count(shapes[0]) == len(shapes):
        return tuple(shapes[0])
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        came = " and ".join(str(s) for s in shapes)
        raise ShapeError(
            f"{op}: shapes must broadcast (equal or 1, aligned at the right): got {came}.{_broadcast_hint(shapes)}"
        ) from None


def _broadcast_hint(shapes: Sequence[tuple[int, ...]]) -> str:
    a, b = shapes[0], shapes[-1]
    if len(a) == 2 and len(b) == 1 and a[0] == b[0]:
        return f" Did you mean a column, b[:, None], of shape ({b[0]}, 1)?"
    if len(a) == len(b) == 2 and a == b[::-1]:
        return " Did you mean b.mT?"
    return " Insert axes of length 1 with x[:, None] where sizes should repeat."


def result_dtype(kind: str, *specs: Any) -> Any:
    if kind == "bool":
        return np.dtype(bool)
    found = tuple([getattr(s, "dtype", None) or type(s) for s in specs])
    if len(found) == 1 and isinstance(found[0], np.dtype) and found[0].kind == "f":
        return found[0]
    return _result_dtype(kind, found)


def kind_of(dtype: Any) -> str:
    """NumPy's letter for the kind of a dtype: "f" real floats, "c" complex, "i", "u", "b". To NumPy bfloat16 is bytes
    of a kind of their own."""
    return "f" if dtype.kind == "V" and dtype.name == "bfloat16" else dtype.kind


@lru_cache(maxsize=1024)
def _result_dtype(kind: str, found: tuple) -> Any:
    """From dtypes, and the types of Python numbers."""
    dtypes = [d if isinstance(d, np.dtype) else d(0) for d in found]
    floats = [d for d in dtypes if kind_of(np.dtype(d if isinstance(d, np.dtype) else type(d))) in "fc"]
    if not floats:
        return np.dtype(np.float32) if "float" in kind else np.result_type(*dtypes)
    if not any(isinstance(d, np.dtype) for d in floats):  # integers meet a Python number
        floats.append(np.dtype(np.float32))
    if any(d.kind == "V" for d in floats if isinstance(d, np.dtype)):  # bfloat16, which NumPy cannot promote
        if len(floats) > 1 and not all(d == floats[0] or isinstance(d, float) for d in floats):
            floats = [np.dtype(np.float32) if isinstance(d, np.dtype) and d.itemsize == 2 else d for d in floats]
        else:
            floats = [d for d in floats if isinstance(d, np.dtype)]
    found_dtype = np.result_type(*floats)  # integers that meet floats do not widen them
    return found_dtype.type(0).real.dtype if "real" in kind else found_dtype


def same_as(name: str) -> Callable:
    """The output is like one input."""

    def rule(op: str, *specs: Any, **params: Any) -> Spec:
        s = specs[PRIMITIVES[op].inputs.index(name)]
        if "axis" in params and params["axis"] is not None:
            axes_of(op, params["axis"], len(s.shape))
        return Spec(tuple(s.shape), s.dtype)

    return rule


def reduced(op: str, x: Any, *, axis: Any = None, keepdims: bool = False, **params: Any) -> Spec:
    """A reduction over `axis`: those axes go, or stay with length 1."""
    axes = axes_of(op, axis, len(x.shape))
    p = PRIMITIVES.get(op)
    kept = tuple(1 if i in axes else n for i, n in enumerate(x.shape) if keepdims or i not in axes)
    kind = p.kind if p else "same"
    return Spec(kept, np.dtype(np.int64) if kind == "index" else result_dtype(kind or "same", x))


def axes_of(op: str, axis: Any, ndim: int) -> tuple[int, ...]:
    """`axis` (None, an int or several) as a tuple of numbers from 0 to ndim - 1."""
    alone = axis[0] if type(axis) is tuple and len(axis) == 1 else axis
    if type(alone) is int and -ndim <= alone < ndim:
        return (alone % ndim,)
    if axis is None:
        return tuple(range(ndim))
    given = axis if isinstance(axis, (tuple, list)) else (axis,)
    axes = []
    for a in given:
        try:
            number = a.__index__()
        except AttributeError:
            raise AxisError(f"{op}: axis must be an int, a tuple of ints or None: got {a!r}.") from None
        if ndim == 0 and number in (0, -1):  # NumPy and PyTorch let a 0-d array be reduced so
            continue
        if not -ndim <= number < ndim:
            allowed = f"{-ndim} to {ndim - 1}" if ndim else "none, a 0-d array has no axes"
            raise AxisError(f"{op}: axis out of range: axis {number} of a {ndim}-d array. Allowed: {allowed}.")
        axes.append(number % ndim)
    if len(set(axes)) < len(axes):
        raise AxisError(f"{op}: an axis is named twice: axis={axis!r} of a {ndim}-d array. Name each axis once.")
    return tuple(axes)


def with_ones(shape: tuple[int, ...], axis: Any) -> tuple[int, ...]:
    """The shape after a reduction with keepdims=True: rules reshape g to it before they broadcast."""
    axes = axes_of("reduction", axis, len(shape))
    return tuple(1 if i in axes else n for i, n in enumerate(shape))

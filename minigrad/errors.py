"""Every error minigrad raises on purpose.

Each class also subclasses the builtin a user would catch, so ``except ValueError`` keeps working. A message reads
``op: the rule: what came. What to do.`` The class docstring is cause, failing example, fix.
"""

from numpy.linalg import LinAlgError as _NumPysLinAlgError


class MinigradError(Exception):
    """Base of all errors below: ``except minigrad.errors.MinigradError`` catches what minigrad raises on purpose."""


class ShapeError(MinigradError, ValueError):
    """Shapes, sizes or counts do not fit the operation.

    Fails: ``mg.ones((2, 3)) @ mg.ones((4, 3))``. Fix: make the inner sizes agree, here ``b.mT``.
    """


class AxisError(ShapeError, IndexError):
    """An axis that the array does not have, or one named twice.

    Fails: ``mg.ones((2, 3)).sum(axis=2)``. Fix: axes of a 2-d array are 0, 1 or -1, -2.
    """


class IndexRangeError(MinigradError, IndexError):
    """An index, class label or token outside the range it may have.

    Fails: cross-entropy with label 10 for 10 classes. Fix: labels count from 0 to K - 1.
    """


class DTypeError(MinigradError, TypeError):
    """A dtype the operation is not defined for, or data no array can hold.

    Fails: ``mg.tensor([1, 2], requires_grad=True)``. Fix: gradients need floats, ``mg.tensor([1., 2.])``.
    """


class ArgumentError(MinigradError, ValueError):
    """A keyword or option with a value outside what it allows.

    Fails: ``SGD(params, lr=-1)``. Fix: what the message says.
    """


class GradError(MinigradError, RuntimeError):
    """The gradient asked for does not exist, or can no longer be computed.

    Fails: ``y.backward()`` twice, a non-scalar ``y.backward()``, an in-place edit of a value the gradient needs.
    Fix: ``retain_graph=True``, ``y.sum().backward()``, an edit out of place.
    """


class ExchangeError(MinigradError, BufferError):
    """Memory that cannot be handed to another library as it is.

    Fails: ``mg.ones(2, requires_grad=True).__dlpack__()``. Fix: ``x.detach()``, which has no gradient to lose.
    """


class LinAlgError(MinigradError, _NumPysLinAlgError):
    """A matrix without the inverse, factorisation or eigenvalues that were asked for.

    Fails: ``mg.linalg.inv(mg.zeros(2, 2))``. Fix: add a multiple of the identity, or use ``pinv`` or ``lstsq``.
    """


class BackendError(MinigradError, RuntimeError):
    """A backend that is missing, unknown, or not the one the data is on.

    Fails: ``host_tensor + gpu_tensor``. Fix: move one with ``.to("cupy")`` or ``.to("numpy")``.
    """


class OutOfMemoryError(BackendError, MemoryError):
    """A device has no room for an array.

    Fails: ``mg.zeros(10**6, 10**6, device="cupy")``. Fix: a smaller batch, `mg.autocast`, `func.checkpoint`, or
    ``mg.cuda.empty_cache()`` if others need what is held but unused.
    """


class TraceError(MinigradError, TypeError):
    """A traced function looked at a value that is only known at run time.

    Fails: ``if x.sum() > 0`` inside ``@mg.jit``. Fix: ``mg.where``, or move the test out of the function.
    """


class StateError(MinigradError, KeyError):
    """A state dict whose keys or shapes differ from the model's or optimizer's.

    Fails: ``model.load_state_dict(other.state_dict())``. Fix: the message lists missing, unexpected and misshapen keys.
    """

    def __str__(self):  # KeyError would print the repr, with \\n as two characters
        return str(self.args[0]) if self.args else ""


class CheckError(MinigradError, AssertionError):
    """A gradient check failed: the rule and an independent computation disagree.

    Fails: ``gradcheck`` of a function whose rule forgets a factor. Fix: the report names argument, index and likely
    mistake.
    """


class ExtraError(MinigradError, ImportError):
    """A package that an optional part of minigrad needs is not installed.

    Fails: ``viz.learning_curves(...)`` without matplotlib. Fix: the pip command in the message.
    """


class DataError(MinigradError, OSError):
    """A file that is missing, truncated, not of the format its name says, or cannot be written.

    Fails: ``data.mnist()`` without the four files. Fix: the message says which file, and what to put where.
    """


class DivergenceError(MinigradError, FloatingPointError):
    """The training loss became NaN or infinite: every later step would only spread it.

    Fails: ``Trainer.fit`` with a learning rate of 1e6. Fix: a smaller one, normalised inputs, gradient clipping.
    """

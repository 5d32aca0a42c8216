"""Function transforms: functions in, functions out. Derivatives and batching, freely nested, over trees of arrays.

>>> from minigrad import func
>>> func.grad(lambda x: x**3)(2.0)
tensor(12.)
>>> import numpy as np
>>> func.vmap(func.grad(lambda x: x**3))(np.array([1.0, 2.0])).tolist()
[3.0, 12.0]

Names and signatures are torch.func's, and JAX's where PyTorch has none; docstrings say where they differ.
"""

from importlib import import_module as _import_module

from . import batch_rules as _batch_rules  # noqa: F401
from .checkpoint import checkpoint as checkpoint
from .custom import custom_jvp as custom_jvp
from .custom import custom_vjp as custom_vjp
from .custom import stop_gradient as stop_gradient
from .jacobians import hessian as hessian
from .jacobians import hvp as hvp
from .jacobians import jacfwd as jacfwd
from .jacobians import jacobian as jacobian
from .jacobians import jacrev as jacrev
from .jacobians import jvp as jvp
from .jacobians import linearize as linearize
from .jacobians import ravel_tree as ravel_tree
from .mapped import vmap as vmap
from .reverse import grad as grad
from .reverse import grad_and_value as grad_and_value
from .reverse import value_and_grad as value_and_grad
from .reverse import vjp as vjp
from .tree import TreeDef as TreeDef
from .tree import register_pytree_node as register_pytree_node
from .tree import tree_flatten as tree_flatten
from .tree import tree_leaves as tree_leaves
from .tree import tree_map as tree_map
from .tree import tree_structure as tree_structure
from .tree import tree_unflatten as tree_unflatten


def __getattr__(name: str):
    if name in ("functional_call", "stack_module_state"):  # of the layers, which the transforms do not need
        return getattr(_import_module("..nn.utils.stateless", __package__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

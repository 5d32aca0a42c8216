"""Optimizers and learning-rate schedules. Names, arguments, defaults, state and numbers are PyTorch's.

Gradients add up until they are cleared. To train with larger batches than memory holds, call backward() for several
small ones, each loss divided by their number, before one step:

>>> import minigrad as mg
>>> from minigrad import nn, optim
>>> model, x, y = nn.Linear(3, 1), mg.randn(8, 3), mg.randn(8, 1)
>>> optimizer = optim.SGD(model.parameters(), lr=0.1)
>>> nn.functional.mse_loss(model(x), y).backward()
>>> whole = model.weight.grad.clone()
>>> optimizer.zero_grad()
>>> for i in range(4):
...     few = slice(2 * i, 2 * i + 2)
...     (nn.functional.mse_loss(model(x[few]), y[few]) / 4).backward()
>>> (model.weight.grad - whole).abs().max().item() < 1e-6
True
>>> optimizer.step()
>>> optimizer.zero_grad()

Clip after the last backward() and step a schedule after the optimizer. Batch norm still sees the small batches. For
penalties other than weight_decay see `nn.utils.l1_penalty`; for averages of weights `optim.swa_utils`.
"""

from . import lr_scheduler as lr_scheduler
from . import swa_utils as swa_utils
from .adafactor import Adafactor as Adafactor
from .adagrad import Adadelta as Adadelta
from .adagrad import Adagrad as Adagrad
from .adam import Adam as Adam
from .adam import AdamW as AdamW
from .adam_variants import Adamax as Adamax
from .adam_variants import NAdam as NAdam
from .adam_variants import RAdam as RAdam
from .asgd import ASGD as ASGD
from .lamb import LAMB as LAMB
from .lbfgs import LBFGS as LBFGS
from .lion import Lion as Lion
from .muon import Muon as Muon
from .optimizer import Optimizer as Optimizer
from .rmsprop import RMSprop as RMSprop
from .rprop import Rprop as Rprop
from .sgd import SGD as SGD

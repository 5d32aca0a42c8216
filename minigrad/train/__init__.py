"""Training: the loop, what is measured, and what happens along the way. Every loop written by hand works as well."""

from .callbacks import Callback as Callback
from .callbacks import Checkpoint as Checkpoint
from .callbacks import ClipGradients as ClipGradients
from .callbacks import EarlyStopping as EarlyStopping
from .callbacks import LRSchedule as LRSchedule
from .callbacks import SaveState as SaveState
from .callbacks import StopOnInterrupt as StopOnInterrupt
from .metrics import F1 as F1
from .metrics import Accuracy as Accuracy
from .metrics import BinaryAccuracy as BinaryAccuracy
from .metrics import ConfusionMatrix as ConfusionMatrix
from .metrics import Mean as Mean
from .metrics import Metric as Metric
from .progress import Progress as Progress
from .state import load_state as load_state
from .state import save_state as save_state
from .trainer import History as History
from .trainer import Step as Step
from .trainer import Trainer as Trainer

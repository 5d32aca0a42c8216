"""Mixed precision: half types where they are fast, float32 where they would be wrong."""

from .autocast import autocast as autocast
from .autocast import get_autocast_dtype as get_autocast_dtype
from .autocast import is_autocast_enabled as is_autocast_enabled
from .grad_scaler import GradScaler as GradScaler
from .policy import set_policy as set_policy

"""The GPU behind the backend "cupy": devices, memory, streams, graphs, under torch.cuda's names.

Everything can be imported without CuPy; what needs it raises a BackendError that says what is missing.
"""

from ..errors import OutOfMemoryError as OutOfMemoryError
from .device import DeviceProperties as DeviceProperties
from .device import current_device as current_device
from .device import device as device
from .device import device_count as device_count
from .device import get_device_capability as get_device_capability
from .device import get_device_name as get_device_name
from .device import get_device_properties as get_device_properties
from .device import is_available as is_available
from .device import is_bf16_supported as is_bf16_supported
from .device import set_device as set_device
from .device import synchronize as synchronize
from .device import why_not as why_not
from .graphs import CUDAGraph as CUDAGraph
from .graphs import graph as graph
from .graphs import make_graphed_step as make_graphed_step
from .memory import empty_cache as empty_cache
from .memory import max_memory_allocated as max_memory_allocated
from .memory import mem_get_info as mem_get_info
from .memory import memory_allocated as memory_allocated
from .memory import memory_reserved as memory_reserved
from .memory import memory_stats as memory_stats
from .memory import memory_summary as memory_summary
from .memory import reset_peak_memory_stats as reset_peak_memory_stats
from .memory import set_per_process_memory_fraction as set_per_process_memory_fraction
from .stream import Event as Event
from .stream import Stream as Stream
from .stream import current_stream as current_stream
from .stream import default_stream as default_stream
from .stream import stream as stream

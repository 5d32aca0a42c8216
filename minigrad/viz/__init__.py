"""Pictures: learning curves, confusion matrices, decision boundaries, images, filters, histograms, loss surfaces,
attention, and the computation graph. Readable in black and white.

Every function returns the figure, which a notebook shows; with ``path=`` it writes a file instead and returns its
path. matplotlib is imported when something is drawn; the graph needs only this package. Nothing here needs a display
or touches ``matplotlib.pyplot``'s state.
"""

from .attention import attention_map as attention_map
from .bars import bars as bars
from .boundary import decision_boundary as decision_boundary
from .confusion import confusion_matrix as confusion_matrix
from .curves import learning_curves as learning_curves
from .curves import learning_rate_curve as learning_rate_curve
from .filters import feature_maps as feature_maps
from .filters import filters as filters
from .functions import activations as activations
from .graph import Graph as Graph
from .graph import animate_backward as animate_backward
from .graph import graph as graph
from .histograms import histograms as histograms
from .images import heat_maps as heat_maps
from .images import image_grid as image_grid
from .lines import lines as lines
from .plane import labelled_points as labelled_points
from .surface import loss_surface as loss_surface

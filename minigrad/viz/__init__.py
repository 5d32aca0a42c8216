"""Pictures: learning curves, confusion matrices, decision boundaries, images, heat and attention maps, as PNG files,
readable in black and white.

matplotlib is imported when something is drawn. Nothing here needs a display or touches ``matplotlib.pyplot``'s state.
"""

from .attention import attention_map as attention_map
from .boundary import decision_boundary as decision_boundary
from .confusion import confusion_matrix as confusion_matrix
from .curves import learning_curves as learning_curves
from .images import heat_maps as heat_maps
from .images import image_grid as image_grid
from .lines import lines as lines
from .plane import labelled_points as labelled_points

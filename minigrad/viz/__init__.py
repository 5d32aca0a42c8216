"""Pictures: learning curves, confusion matrices, decision boundaries, as PNG files, readable in black and white.

matplotlib is imported when something is drawn. Nothing here needs a display or touches ``matplotlib.pyplot``'s state.
"""

from .boundary import decision_boundary as decision_boundary
from .confusion import confusion_matrix as confusion_matrix
from .curves import learning_curves as learning_curves

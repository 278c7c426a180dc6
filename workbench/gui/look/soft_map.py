"""Which classes are near each other in the soft targets: a matrix as a picture."""

from __future__ import annotations

import numpy as np

from workbench.gui.confusion import ConfusionMap


class SoftTargetMap(ConfusionMap):
    """Paints the mean soft target of the test images of each right class (row), (classes, classes); NaN where it has none."""

    across = "mean soft target for"

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName("Mean soft targets")

    def show_means(self, means: np.ndarray, names: tuple[str, ...]) -> None:
        """Show them."""
        self.show_matrix(np.nan_to_num(means), names)

    def words(self, right: int, predicted: int) -> str:
        """A cell in words."""
        mean = float(self._matrix[right, predicted])
        return f"Images of {self._names[right]} have {mean:.2%} of their soft target on {self._names[predicted]}, on average"

    def _number(self, value: float) -> str:
        return f"{100 * value:.1f}" if value >= 0.0005 else ""

    def _legend(self) -> str:
        apart = self._matrix.copy()
        np.fill_diagonal(apart, 0)
        if not apart.any():
            return ""
        right, predicted = np.unravel_index(int(apart.argmax()), apart.shape)
        return f"In per cent. {self.words(int(right), int(predicted))}, which is the most of a wrong class."

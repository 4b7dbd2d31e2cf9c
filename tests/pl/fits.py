"""What a figure in a journal keeps to."""

import pytest
from matplotlib.figure import Figure


def fits_a_column(figure: Figure) -> None:
    """The figure is as wide as a column, and nothing in it is cut off."""
    assert figure.get_figwidth() * 25.4 == pytest.approx(89)
    figure.canvas.draw()
    for ax in figure.axes:
        box = ax.get_tightbbox()
        assert box.x0 >= -1
        assert box.y0 >= -1
        assert box.x1 <= figure.bbox.x1 + 1
        assert box.y1 <= figure.bbox.y1 + 1

"""What every figure must keep to."""

import io

from matplotlib import pyplot


def assert_whole(*draw):
    """Nothing that is drawn is cut off, and no figure stays open."""
    before = pyplot.get_fignums()
    drawn = [of() for of in draw]
    assert pyplot.get_fignums() == before
    for figure in drawn:
        figure.savefig(io.BytesIO())
        for axis in figure.axes:
            box = axis.get_tightbbox()
            assert box.x0 > -2
            assert box.y0 > -2
            assert box.x1 < figure.bbox.width + 2
            assert box.y1 < figure.bbox.height + 2

"""What, besides borders, could tell that two tiles come from one picture? Measured for `benchmarks/leaks.py`.

Each feature is tried on the largest kind of tiles that borders alone cannot put together, the 360 × 360 ones of the
Data Science Bowl. The area under the ROC curve (AUC) is the chance that a pair of one group looks more alike
than a pair of two groups: 0.5 says nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy import ndimage

from ulna.image import Array
from ulna.leaks.edges import Seam

BLOCK = 60  # pixels; sides of the blocks whose background is measured
CORNER = 6  # pixels; sides of the corners that diagonal neighbors are compared by


def rows(images: Sequence[Array], truth: Array, joined: Array) -> list[str]:
    """The table's rows of tiles (C, Y, X) of one shape, their true groups, and the groups that borders make."""
    planes = [image.mean(axis=0, dtype=np.float64) for image in images]
    pairs = np.triu_indices(len(truth), 1)
    same = (truth[:, None] == truth)[pairs]
    apart = same & (joined[:, None] != joined)[pairs]
    features: dict[str, Callable[[list[Array]], Array]] = {
        "level of the background, common shading taken off": _background,
        "teeth of the histogram (which gray values stretching made rare)": _teeth,
        "noise at each brightness (gain of the camera, stretching)": _noise,
        "brightness of nuclei (93rd percentile)": lambda all_: _standard([[np.percentile(p, 93)] for p in all_]),
        "fineness (power at six scales)": _fineness,
        "share of nuclei": lambda all_: _standard([[_nuclei(p).mean()] for p in all_]),
    }
    told = []
    for name, feature in features.items():
        values = feature(planes)
        distance = np.linalg.norm(values[:, None] - values, axis=-1)[pairs]
        told.append(f"| {name} | {_auc(distance, same, ~same):.2f} | {_auc(distance, apart, ~same):.2f} |")
    return told


def corners(images: Sequence[Array], seams: Sequence[Seam]) -> tuple[int, float]:
    """Known diagonal neighbors among `images`: their number, and the share whose corners fit best of all."""
    planes = [image.mean(axis=0, dtype=np.float64) for image in images]
    best = []
    for first, second, right in _diagonals(seams):
        own = _corner(planes[first], True, right)
        others = [index for index in range(len(planes)) if index != first]
        apart = [float(np.abs(own - _corner(planes[index], False, not right)).sum()) for index in others]
        best.append(others[int(np.argmin(apart))] == second)
    return len(best), float(np.mean(best))


def _auc(distance: Array, alike: Array, other: Array) -> float:
    near, far = distance[alike], distance[other]
    return float((near[:, None] < far).mean() + 0.5 * (near[:, None] == far).mean())


def _standard(values: Sequence[Sequence[float]] | Array) -> Array:
    table = np.asarray(values, dtype=float)
    return np.asarray((table - table.mean(axis=0)) / np.maximum(table.std(axis=0), 1e-9))


def _nuclei(plane: Array) -> Array:
    smooth = ndimage.gaussian_filter(plane, 1.5)
    ground = np.percentile(smooth, 15)
    return np.asarray(smooth > ground + max(3, 0.5 * ground))


def _background(planes: list[Array]) -> Array:
    """Logarithm of the level, less what a quadratic of the slopes (the place in the shading) explains of it."""
    fits = []
    for plane in planes:
        free = ~ndimage.binary_dilation(_nuclei(plane), iterations=10)
        y, x, level = [], [], []
        for top in range(0, plane.shape[0] - BLOCK + 1, BLOCK):
            for left in range(0, plane.shape[1] - BLOCK + 1, BLOCK):
                block = np.s_[top : top + BLOCK, left : left + BLOCK]
                if free[block].sum() > 150:
                    y.append(top / plane.shape[0])
                    x.append(left / plane.shape[1])
                    level.append(np.log(plane[block][free[block]].mean()))
        slopes = np.stack([np.ones(len(y)), np.array(y) - np.mean(y), np.array(x) - np.mean(x)], axis=1)
        fits.append(np.linalg.lstsq(slopes, np.array(level), rcond=None)[0])
    level, dy, dx = np.array(fits).T
    terms = np.stack([np.ones(len(dy)), dy, dx, dy**2, dx**2, dx * dy], axis=1)
    return _standard((level - terms @ np.linalg.lstsq(terms, level, rcond=None)[0])[:, None])


def _teeth(planes: list[Array]) -> Array:
    counts = np.stack([np.bincount(plane.astype(int).ravel(), minlength=41)[:41] for plane in planes])
    logs = np.log(counts + 1.0)
    return _standard((logs[:, 1:-1] - (logs[:, 2:] + logs[:, :-2]) / 2)[:, 9:29])


def _noise(planes: list[Array]) -> Array:
    """Mean size of the second differences, cut at four gray values, where the image is as bright as 6, 7 … 28."""
    curves = []
    kernel = np.outer([1, -2, 1], [1, -2, 1]) / 6
    for plane in planes:
        rough = np.minimum(np.abs(ndimage.convolve(plane, kernel)), 4)
        bright = ndimage.uniform_filter(plane, 5)
        curves.append([rough[(bright >= low) & (bright < low + 2)].mean() for low in (6, 8, 12, 16, 20, 24)])
    return _standard(curves)


def _fineness(planes: list[Array]) -> Array:
    blur = ndimage.gaussian_filter
    return _standard(
        [[np.log((blur(p, s) - blur(p, 2 * s)).std()) for s in (0.5, 1, 2, 4, 8, 16)] for p in planes],
    )


def _diagonals(seams: Sequence[Seam]) -> list[tuple[int, int, bool]]:
    """Tiles that meet in a corner, by two seams with a third: (upper, lower, whether the lower is to the right)."""
    beside, below = ([(s.first, s.second) for s in seams if s.axis == axis] for axis in (1, 0))
    over = {(a, d, True) for a, b in beside for c, d in below if b == c}
    over |= {(a, d, True) for a, b in below for c, d in beside if b == c}
    over |= {(b, d, False) for a, b in beside for c, d in below if a == c}
    over |= {(a, c, False) for a, b in below for c, d in beside if b == d}
    return sorted(over)


def _corner(plane: Array, bottom: bool, right: bool) -> Array:
    """A plane fitted to the logarithms in a corner: its value at the very corner and its rise along each side."""
    rows, columns = (slice(-CORNER, None) if far else slice(CORNER) for far in (bottom, right))
    patch = np.log(plane[rows, columns] + 1)
    at = np.arange(CORNER) + 0.5
    y, x = np.meshgrid(at - CORNER * bottom, at - CORNER * right, indexing="ij")
    terms = np.stack([np.ones(patch.size), y.ravel(), x.ravel()], axis=1)
    fit = np.linalg.lstsq(terms, patch.ravel(), rcond=None)[0]
    return fit * np.array([1, CORNER / 2, CORNER / 2])

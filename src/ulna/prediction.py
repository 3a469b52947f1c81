"""`Prediction`: what a model says of one image; an array, a file, a picture."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ulna.errors import UlnaError
from ulna.formats import write
from ulna.grid import OnGrid
from ulna.image import Array, Grid, Image, Labels, Source
from ulna.labels.classes import Classes
from ulna.text import plural, size

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ulna.measurement import Table

MAX_NARROW = 65_535
"""The largest number of an object in 16 bits."""

SHOWN = 480
"""The largest side of the picture in a notebook, pixels."""


@dataclass(frozen=True, eq=False, repr=False)
class Prediction(OnGrid):
    """The class of each pixel of an image and, where the model finds objects, the object.

    It can be used as the array (Y, X), or (Z, Y, X), of class indices, or of numbers of objects where there are
    objects: `np.asarray(prediction)`, `plt.imshow(prediction)`.

    Parameters
    ----------
    labels
        Class indices and objects on the image's own grid, 0 the background.
    meaning
        The classes of the model, and how its training masks wrote them.
    source
        The file of the image, if it came from one.

    Examples
    --------
    >>> classes = Classes(("background", "cell"), ((0,), (255,)), "binary", "")
    >>> prediction = Prediction(Labels(np.array([[0, 1], [1, 1]], np.uint8), names=classes.names), classes)
    >>> np.asarray(prediction).sum()
    np.uint64(3)
    >>> prediction
    <Prediction 2 × 2: background 25.0 %, cell 75.0 %>
    """

    labels: Labels
    meaning: Classes
    source: Source | None = None

    @property
    def array(self) -> Array:
        """Class indices with one channel, (1, *spatial) uint8."""
        return self.labels.classes[None]

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the class indices, the background first."""
        return self.meaning.names

    @property
    def grid(self) -> Grid:
        """Where the pixels lie."""
        return self.labels.grid

    @property
    def objects(self) -> npt.NDArray[np.int32] | None:
        """Numbers of objects, (*spatial) int32, 0 the background; None where the model finds no objects.

        In a stack of pages they go on from page to page.
        """
        return self.labels.objects

    @property
    def object_classes(self) -> dict[int, str]:
        """The name of the class of each object, by its number; empty where the model finds no objects."""
        if self.objects is None:
            return {}
        numbers, places = np.unique(self.objects, return_index=True)
        indices = self.labels.classes.ravel()[places]
        return {int(n): self.classes[k] for n, k in zip(numbers, indices, strict=True) if n}

    @property
    def object_scores(self) -> dict[int, float]:
        """How sure the model is of each object, 0 to 1: the mean probability of its class over its pixels."""
        return dict(zip(self.object_classes, self.labels.scores, strict=False))

    @property
    def _pixels(self) -> Array:
        return self.labels.classes if self.objects is None else self.objects

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> Array:
        """Class indices as uint8 or, where there are objects, their numbers as int32; (Y, X) or (Z, Y, X)."""
        return np.array(self._pixels, dtype, copy=copy)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Any:
        """As of `np.asarray(prediction)`: `prediction[10:20]`, `prediction[mask]`."""
        return self._pixels[key]

    def to_image(self, *, wide: bool = False) -> Image:
        """The mask as it is written, on the image's grid.

        Parameters
        ----------
        wide
            Whether numbers of objects have 32 bits even where 16 would do.

        Returns
        -------
        Image
            Numbers of objects where these were found, else the values that the training masks had.
        """
        objects = self.labels.objects
        if objects is not None:
            wide = wide or int(objects.max(initial=0)) > MAX_NARROW
            return Image(objects[None] if wide else objects[None].astype(np.uint16), self.grid, source=self.source)
        return Image(self.meaning.to_values(self.array), self.grid, source=self.source)

    def save(self, path: str | Path) -> Path:
        """Write the mask with the values that the training masks had.

        Parameters
        ----------
        path
            A file whose name ends in .png or .tif; one that is there is replaced.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        UlnaError
            For another suffix, for what the format cannot hold, and where the file cannot be written.

        Examples
        --------
        >>> prediction = ulna.load("run").predict("cells.png")
        >>> prediction.save("mask.tif").name
        'mask.tif'
        """
        target = Path(path).expanduser()
        self.check_fits(target)
        write(target, self.to_image(), labels=True)
        return target

    def check_fits(self, path: Path) -> None:
        """Refuse a file that cannot number all objects, before anything is written.

        Parameters
        ----------
        path
            The file of the mask.

        Raises
        ------
        UlnaError
            For a PNG and more than 65,535 objects.
        """
        count = int(self.objects.max(initial=0)) if self.objects is not None else 0
        if count > MAX_NARROW and path.suffix.lower() == ".png":
            raise UlnaError(
                f"{count:,} objects were found, and a PNG numbers at most {MAX_NARROW:,}",
                where=path,
                hint="Write the mask as .tif, with 32 bits; 'ulna predict' does so where the image is a TIFF.",
            )

    def overlay(self, image: Any, *, legend: bool = True) -> npt.NDArray[np.uint8]:
        """The image with the classes tinted and outlined, and a legend below it.

        Where there are objects each is outlined, in the color of its class or, where there is one class, in another
        color than those beside it, and they are counted below. Of a volume three planes are drawn, through its largest
        region.

        Parameters
        ----------
        image
            The image that was predicted: an `Image`, or an array (Y, X), (C, Y, X) or (Y, X, C); of a volume with
            Z before Y.
        legend
            Whether a strip with the names of the classes is added below.

        Returns
        -------
        array
            (Y, X, 3) uint8, for `plt.imshow` or a file.

        Raises
        ------
        UlnaError
            For an image of another size.

        Examples
        --------
        >>> prediction = ulna.load("run").predict("cells.png")
        >>> picture = prediction.overlay(prediction.array, legend=False)
        >>> picture.shape == (*prediction.shape, 3)
        True
        """
        from ulna.figures.annotated import annotated, annotated_objects
        from ulna.figures.common import to_rgb
        from ulna.figures.sections import pixels

        shown = self._channels_first(image)
        if self.ndim == 3:
            return pixels(self._in_planes(shown, legend=legend))
        if self.objects is not None:
            return annotated_objects(to_rgb(shown), self.labels, counted=legend)
        return annotated(to_rgb(shown), self.labels.classes, self.classes if legend else ())

    def plot(self, image: Any = None) -> Figure:
        """A figure: the classes in their colors, or outlined on the image, with a legend.

        Of a volume three planes are drawn, through its largest region, in the proportions of its voxels.

        Parameters
        ----------
        image
            The image that was predicted, as for `overlay`; by default the classes alone are drawn.

        Returns
        -------
        Figure
            A matplotlib figure that belongs to no window; a notebook shows it, and `figure.savefig(path)` writes it.

        Raises
        ------
        UlnaError
            For an image of another size.

        Examples
        --------
        >>> figure = ulna.load("run").predict("cells.png").plot()
        >>> figure.savefig("mask.png")
        """
        from ulna.figures.common import new_figure, show

        if self.ndim == 3:
            return self._in_planes(None if image is None else self._channels_first(image))
        mask = self.labels.classes
        drawn = self._colored() if image is None else self.overlay(image, legend=False)
        figure = new_figure(6, 6 * mask.shape[0] / mask.shape[1] + 0.5 if mask.shape[1] else 6)
        show(figure.add_subplot(), drawn, str(self.source or ""))
        if self.objects is None:
            self._add_legend(figure)
        return figure

    def measure(self, image: Any = None) -> Table:
        """The size, shape and place of each object, and its intensities where an image is given.

        Parameters
        ----------
        image
            The image that was predicted, as for `overlay`.

        Returns
        -------
        dict
            Columns of one length by their names, see `ulna.measurement.measure_objects`. Of a stack whose objects do
            not go on from page to page, or from slice to slice along another axis, each page is measured by itself, and
            a column `page` comes first.

        Raises
        ------
        UlnaError
            Where the model finds no objects, and for an image of another size.
        """
        from ulna.measurement import measure_objects, together
        from ulna.numbering import planes_of

        if image is not None and not isinstance(image, Image):
            image = Image(self._channels_first(image), self.grid)
        axis = planes_of(self.objects)
        if axis is None:
            return measure_objects(self.labels, image)
        if image is not None and image.shape != self.shape:
            raise UlnaError(f"the image is {size(image.shape)}, the prediction {size(self.shape)}")
        tables = {}
        for page in range(self.shape[axis]):
            cut = self.labels.plane(page, axis)
            grid = Grid(cut.grid.shape, cut.grid.spacing, cut.grid.unit)
            labels = replace(cut, grid=grid)
            plane = None if image is None else Image(image.array.take(page, 1 + axis), grid, image.channels)
            tables[page] = measure_objects(labels, plane)
        return together(tables, by="page")

    def _add_legend(self, figure: Figure) -> None:
        from matplotlib.patches import Patch

        from ulna.figures.colors import color, shade
        from ulna.figures.common import words

        handles = [
            Patch(facecolor=shade(color(index)), edgecolor="black", linewidth=0.5, label=words(name))
            for index, name in enumerate(self.classes)
            if index
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 4) or 1, frameon=False)

    def _in_planes(self, image: Array | None, *, legend: bool = True) -> Figure:
        """Three planes of a volume with their outlines; the image has its channels first."""
        from ulna.figures.orthogonal import orthogonal
        from ulna.figures.sections import page

        name = self.source.name if self.source else ""
        found = orthogonal(name, image, self.grid, found=self.labels.to_array(), names=self.classes)
        return page([found], self.classes if legend else ())

    def _fullest(self, array: Array) -> Array:
        """An array (*spatial) as an image: of a volume the plane with most of what was found."""
        from ulna.figures.planes import fullest

        return array if array.ndim == 2 else np.asarray(array[fullest(self.labels.classes)])

    def _colored(self) -> npt.NDArray[np.uint8]:
        from ulna.figures.common import overlay
        from ulna.figures.objects import objects_overlay

        mask = self._fullest(self.labels.classes)
        if self.objects is not None:
            return objects_overlay(np.zeros((*mask.shape, 3), np.uint8), self._fullest(self.objects))
        return overlay(np.zeros((*mask.shape, 3), np.uint8), mask, opacity=1.0)

    def _channels_first(self, image: Any) -> Array:
        array = np.asarray(image.array if isinstance(image, Image) else image)
        if array.shape == self.shape:
            return array[None]
        if array.ndim == len(self.shape) + 1:
            if array.shape[1:] == self.shape:
                return array
            if array.shape[:-1] == self.shape:
                return np.moveaxis(array, -1, 0)
        raise UlnaError(f"the image is {size(array.shape)}, the prediction {size(self.shape)}")

    def _shares(self) -> list[tuple[str, float]]:
        counts = np.bincount(self.labels.classes.ravel(), minlength=len(self.classes))
        return [
            (name, int(count) / self.labels.classes.size) for name, count in zip(self.classes, counts, strict=False)
        ]

    def __repr__(self) -> str:
        shares = ", ".join(f"{name} {share:.1%}".replace("%", " %") for name, share in self._shares())
        return f"<Prediction {size(self.shape)}: {shares}{self._counted()}>"

    def _counted(self) -> str:
        return "" if self.objects is None else f"; {plural(len(self.object_classes), 'object')}"

    def _repr_html_(self) -> str:
        """What a notebook shows: the classes in their colors, and how much of the image each takes."""
        from PIL import Image as Pillow

        from ulna.figures.colors import color

        picture = Pillow.fromarray(self._colored())
        picture.thumbnail((SHOWN, SHOWN), Pillow.Resampling.NEAREST)
        data = io.BytesIO()
        picture.save(data, "PNG")
        rows = "".join(
            f"<tr><td style='background:rgb{color(index) if index else (0, 0, 0)};width:1em'></td>"
            f"<td>{escape(name)}</td><td>{share:.1%}</td></tr>"
            for index, (name, share) in enumerate(self._shares())
        )
        png = base64.b64encode(data.getvalue()).decode()
        return (
            f"<div>Prediction {size(self.shape)}{self._counted()} {escape(str(self.source or ''))}<br>"
            f"<img src='data:image/png;base64,{png}'><table>{rows}</table></div>"
        )

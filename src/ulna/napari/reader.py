"""What napari opens through ulna: the folder of a run, a folder of predicted masks, a volume of a medical format."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from napari.utils import progress
from napari.utils.notifications import show_info

from ulna.folds import holds_folds
from ulna.formats import is_folder, read
from ulna.image import Image, Source
from ulna.layouts.own import MARK, images_of, masks_in
from ulna.napari.layers import GRID, LayerData, image_layers, numbered_layer, place, values_layer, values_of
from ulna.objectlist import NAME as OBJECT_LIST
from ulna.objectlist import read_list
from ulna.runfolder import WORDS

MAX_CASES = 6
"""So many held-out cases are opened at once: each is predicted, and has three layers."""

MAX_MASKS = 20
"""So many masks of a folder are opened at once."""

MAX_CLASSES = 32
"""Masks with more values than these number objects."""

VOLUMES = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")


def get_reader(path: str | list[str]) -> Callable[[str | list[str]], list[LayerData]] | None:
    """What reads a path, as napari asks for it.

    Parameters
    ----------
    path
        A file or folder, or several.

    Returns
    -------
    callable or None
        None for what is left to other readers.
    """
    return read_layers if all(_reader_of(Path(one)) for one in _several(path)) else None


def read_layers(path: str | list[str]) -> list[LayerData]:
    """The layers of a run, of a folder of masks, or of a volume.

    Parameters
    ----------
    path
        One of these, or several.

    Returns
    -------
    list of LayerData
        For napari.

    Raises
    ------
    UlnaError
        For files that cannot be read; napari shows what it says.
    """
    layers: list[LayerData] = []
    for one in map(Path, _several(path)):
        reader = _reader_of(one)
        layers += reader(one) if reader else []
    return layers


def _several(path: str | Sequence[str]) -> list[str]:
    return [path] if isinstance(path, str) else list(path)


def _reader_of(path: Path) -> Callable[[Path], list[LayerData]] | None:
    if (path / WORDS).is_file() or (path.is_dir() and holds_folds(path)):
        return _run_layers
    if (path / MARK).is_file():
        return _mask_layers
    return _volume_layers if path.name.lower().endswith(VOLUMES) else None


def _run_layers(run: Path) -> list[LayerData]:
    """The held-out cases with the lowest scores: image, truth and predicted mask; the first one is shown."""
    from ulna.napari.held_out import HeldOut, run_data  # torch comes with it, which other folders do not need

    held_out = HeldOut.of(run, run_data(run))
    cases = held_out.cases[:MAX_CASES]
    if len(held_out.cases) > len(cases):
        show_info(
            f"The {len(cases)} held-out cases with the lowest scores are opened, of {len(held_out.cases)}. "
            "Plugins > ulna > Held-out cases opens the others."
        )
    layers: list[LayerData] = []
    for number, case in enumerate(progress(cases, desc="predicting")):
        layers += held_out.layers(case, visible=number == 0)
    return layers


def _mask_layers(folder: Path) -> list[LayerData]:
    """The masks that a folder lists, as labels, each with its image where that is a file that is still there."""
    files = masks_in(folder)
    if len(files) > MAX_MASKS:
        show_info(f"The first {MAX_MASKS} masks are opened, of {len(files)}. Others can be opened file by file.")
    objects = read_list(Source(folder / OBJECT_LIST)) if (folder / OBJECT_LIST).is_file() else ()
    images = images_of(folder)
    masks = {path: read(Source(path)) for path in files[:MAX_MASKS]}
    values = {path: values_of(mask) for path, mask in masks.items()}
    known = sorted({int(value) for array in values.values() for value in set(array.ravel().tolist())})
    layers: list[LayerData] = []
    for number, (path, mask) in enumerate(masks.items()):
        name = path.relative_to(folder).as_posix()
        visible = number == 0
        image = Path(images.get(name, ""))
        if image.is_file() or is_folder(Source(image)):
            layers += image_layers(read(Source(image)), image.name, visible=visible)
        words = {"name": f"{name} mask", "visible": visible, "metadata": {GRID: mask.grid}, **place(mask.grid)}
        own = [one for one in objects if one.image == _stem(name)]
        if own or len(known) > MAX_CLASSES:
            classes, scores = {one.number: one.name for one in own}, {one.number: one.score for one in own}
            layers.append(numbered_layer(values[path], words, classes, scores))
        else:
            layers.append(values_layer(values[path], words, known))
    return layers


def _stem(name: str) -> str:
    """A mask's path without its suffix, as the list of objects names it."""
    return name[: len(name) - len(Source(Path(name)).suffix)]


def _volume_layers(path: Path) -> list[LayerData]:
    image: Image = read(Source(path))
    return image_layers(image, path.name)

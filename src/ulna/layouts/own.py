"""What `ulna` itself has written into a folder: it is neither image nor mask of a data set, unless it is asked for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ulna.formats import atomic_write
from ulna.image import Source

MARK = "ulna.json"
"""The file beside predicted masks that lists them."""

RUN = {"run.json", "config.yaml"}
"""What a run is known by; nothing in it is an image of a data set."""

GALLERY = "gallery.json"
"""The file beside the pictures of the gallery that `evaluate` writes."""

RECORDS: tuple[tuple[set[str], set[str]], ...] = (
    ({"check.json"}, {"samples.png", "joined.png"}),
    ({"scores.csv", "metrics.json"}, {"cases.png"}),
    ({"table.csv", "sizes.png"}, {"sizes.png", "objects.png", "counts.csv", "table.parquet"}),
)
"""The records that `check`, `evaluate` and `measure` write, and the pictures and tables beside them."""


def mark(
    folder: Path,
    masks: Mapping[str, str],
    pictures: Iterable[str],
    *,
    classes: Mapping[int, str] | None = None,
    by: Mapping[str, str] | None = None,
) -> None:
    """List in a folder the masks and the pictures, as paths within it, that `predict` writes there.

    Of each mask the file of its image is kept, or "" where it is none that can be opened by itself; what its values
    mean, where they are those of classes; and a word for what has made it, `by` mask. What was listed before stays
    listed.
    """
    before = _marked(folder)
    meant = {mask: known for mask, known in _meant(folder).items() if mask not in masks}
    meant |= {mask: {str(value): name for value, name in classes.items()} for mask in masks} if classes else {}
    makers = makers_of(folder) | dict.fromkeys(masks, "") | dict(by or {})
    lists = {
        "masks": sorted({*before[0], *masks}),
        "pictures": sorted({*before[1], *pictures}),
        "classes": dict(sorted(meant.items())),
        "by": {mask: word for mask, word in sorted(makers.items()) if word},
        "images": {mask: image for mask, image in sorted((images_of(folder) | dict(masks)).items()) if image},
    }
    words = {"written by": "ulna predict", **lists}
    with atomic_write(folder / MARK) as beside:
        beside.write_text(json.dumps(words, indent=1, ensure_ascii=False) + "\n", "utf-8", "backslashreplace")


def own_files(folder: Path, files: Iterable[str], *, masks: bool = False) -> set[Path]:
    """The files that `ulna` wrote into a folder, or into those below it, as far as the folder says so.

    Parameters
    ----------
    folder : Path
        The folder.
    files : iterable of str
        The names of the files in it.
    masks : bool
        Whether predicted masks are asked for, and not to be counted.
    """
    names = set(files)
    found = {picture for known, pictures in RECORDS if known <= names for picture in pictures}
    if GALLERY in names:
        found |= {name for name in names if name.endswith(".jpg")}
    if MARK in names:
        listed_masks, pictures = _marked(folder)
        found |= pictures if masks else pictures | listed_masks
    return {folder / name for name in found}


def file_of(images: Sequence[Source]) -> str:
    """The file of an image, for `mark`; "" where it is in several, in an archive, or selected within a file."""
    whole = [replace(source, page=None) for source in images]
    if len(whole) != 1 or whole[0] != Source(whole[0].path):
        return ""
    return str(whole[0].path.absolute())


def masks_in(folder: Path) -> tuple[Path, ...]:
    """The predicted masks that a folder lists and that are still there."""
    return tuple(path for name in sorted(_marked(folder)[0]) if (path := folder / name).exists())


def images_of(folder: Path) -> dict[str, str]:
    """The file of the image of each mask that a folder lists, as far as it says so."""
    try:
        images = json.loads((folder / MARK).read_text("utf-8"))["images"]
        return {str(mask): str(image) for mask, image in images.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def makers_of(folder: Path) -> dict[str, str]:
    """A word for what has made each mask that a folder lists, as far as it says so."""
    try:
        return {str(mask): str(by) for mask, by in json.loads((folder / MARK).read_text("utf-8"))["by"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def classes_of(masks: Iterable[Path]) -> dict[Path, dict[int, str]]:
    """What the values of masks mean, 0 left out, as far as the folder that lists them says that they are classes.

    Parameters
    ----------
    masks : iterable of Path
        Files.

    Returns
    -------
    dict
        The name of each value, for masks of classes alone.
    """
    known: dict[Path, dict[str, dict[str, str]]] = {}
    found: dict[Path, dict[int, str]] = {}
    for mask in masks:
        path = mask.absolute()
        folder = next((one for one in path.parents if (one / MARK).is_file()), None)
        if folder is None:
            continue
        if folder not in known:
            known[folder] = _meant(folder)
        names = known[folder].get(path.relative_to(folder).as_posix(), {})
        if names:
            found[mask] = {int(value): name for value, name in names.items()}
    return found


def is_own(path: Path, place: Path) -> bool:
    """Whether a folder between the place and the file lists the file as written by `ulna`."""
    folders = [folder for folder in path.parents if folder == place or place in folder.parents]
    return any(path in own_files(folder, [MARK]) for folder in folders if (folder / MARK).is_file())


def _marked(folder: Path) -> tuple[set[str], set[str]]:
    """The masks and the pictures that a folder's mark lists; none where there is no mark, or none of ours."""
    try:
        words = json.loads((folder / MARK).read_text("utf-8"))
        return set(map(str, words["masks"])), set(map(str, words["pictures"]))
    except (OSError, ValueError, KeyError, TypeError):
        return set(), set()


def _meant(folder: Path) -> dict[str, dict[str, str]]:
    """The classes of the values of each mask, as a folder's mark has them."""
    try:
        listed_classes = json.loads((folder / MARK).read_text("utf-8"))["classes"]
        return {
            str(mask): {str(int(value)): str(name) for value, name in names.items()}
            for mask, names in listed_classes.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}

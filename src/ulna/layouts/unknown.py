"""What is said where no layout is recognized: which names were found, what other files are, and how to say it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ulna import formats
from ulna.dataset import Problem
from ulna.errors import UlnaError
from ulna.layouts.listing import Entry, Listing
from ulna.layouts.matching import folder_role, is_mask_name
from ulna.layouts.own import MARK
from ulna.layouts.pairs import sides
from ulna.text import listed, plural

SAY = (
    "Say which files are images and which masks, for example --set 'data.images=scans/{case}.png' "
    "--set 'data.masks=drawn/{case}_roi.png' ({class} in it stands for the name of a class)."
)

# Annotations that are not images: what tells them, and what they are.
OTHERS: tuple[tuple[str, str], ...] = (
    (".json", "annotations as JSON, but not those of labelme, COCO or QuPath for these images"),
    (".geojson", "annotations of QuPath, but of other images"),
    (".xml", "annotations as XML (Aperio ImageScope, PASCAL VOC's boxes, …)"),
    (".npy", "arrays of NumPy"),
    (".npz", "arrays of NumPy"),
    (".mat", "files of MATLAB"),
    (".roi", "outlines of ImageJ, but of other images"),
)


# Files that go with images and are none; what has another suffix may be an image of a format that is not known.
_NO_IMAGES = (
    "txt md rst csv tsv xls xlsx ods json geojson yaml yml toml ini cfg xml html htm css js pdf doc docx odt rtf ppt "
    "pptx py ipynb r m sh bat ps1 log db sqlite lnk url bib tex md5 sha1 sha256 safetensors ckpt pt pth onnx roi"
)
_NO_IMAGE_NAMES = "license licence readme makefile authors changelog citation copying notice version"
NO_IMAGES = frozenset(f".{suffix}" for suffix in _NO_IMAGES.split(" "))
NO_IMAGE_NAMES = frozenset(_NO_IMAGE_NAMES.split(" "))
HOW_TO_USE_OWN = "Remove the file 'ulna.json' beside them to use them as any others."


def maybe_images(others: Sequence[Entry]) -> tuple[str, ...]:
    """The files of formats that are not known, and that may be images."""
    return tuple(
        entry.path
        for entry in others
        if entry.source.suffix not in NO_IMAGES and entry.stem.casefold() not in NO_IMAGE_NAMES
    )


def passed_over(listing: Listing) -> tuple[Problem, ...]:
    """The problem that files of formats that are not known were passed over."""
    found = maybe_images(listing.others)
    if not found:
        return ()
    kinds = sorted({Path(path).suffix or "without suffix" for path in found})
    what = f"{plural(len(found), 'file')} of formats that are not read ({listed(kinds, 5)}) passed over"
    return (Problem(what, found),)


def left_out(listing: Listing) -> tuple[Problem, ...]:
    """The note that masks which `ulna` predicted are no part of the data."""
    masks = tuple(entry.path for entry in listing.own if _beside_mark(entry))
    if not masks:
        return ()
    what = f"{plural(len(masks), 'file')} that 'ulna predict' wrote left out. {HOW_TO_USE_OWN}"
    return (Problem(what, masks, "note"),)


def no_images(listing: Listing) -> tuple[Problem, ...]:
    """The problem that DICOM files hold no image, one per kind."""
    kinds: dict[str, list[str]] = {}
    for entry, what in listing.no_images:
        kinds.setdefault(what, []).append(entry.path)
    return tuple(
        Problem(
            f"{plural(len(files), 'DICOM file')} left out: {what}", tuple(files), "warning" if "RT" in what else "note"
        )
        for what, files in kinds.items()
    )


def _beside_mark(entry: Entry) -> bool:
    return any((folder / MARK).is_file() for folder in list(entry.source.path.parents)[: len(entry.folders) + 1])


def unknown_layout(place: Path, listing: Listing, examples: Sequence[str]) -> UlnaError:
    """The error that no images with masks were recognized: the names that were found, and what can be done."""
    told = [_names(place, listing), *_others(listing)]
    told += [f"{problem.what}." for problem in (*passed_over(listing), *left_out(listing), *no_images(listing))]
    shown = "\n".join(f"  - {example}" for example in examples)
    known = f"Known ways to lay out a data set (a folder, or a zip or tar of it):\n{shown}\n{image_suffixes()}"
    lines = [line for line in told if line]
    what = "no images with masks were recognized here"
    return UlnaError(what, where=place, hint="\n".join([*lines, *([SAY] if listing.images else []), known]))


def image_suffixes() -> str:
    """The kinds of files that can be read, in a sentence."""
    return f"Images that can be read: {', '.join(sorted(formats.SUFFIXES))}; also in a .zip or .tar."


def _names(place: Path, listing: Listing) -> str:
    """Which files were taken for images and which for masks, where names do not agree; else which files there are."""
    images, masks = sides(listing)
    if not masks:
        masks = [entry for entry in images if is_mask_name(entry.stem)]
        images = [entry for entry in images if entry not in set(masks)]
    if images and masks:
        return f"The names of images and masks do not agree: {_shown(images, 'image')}; {_shown(masks, 'mask')}."
    if not listing.images:
        return "There is no image file here."
    role, wanted = ("masks", "image") if masks else ("images", "mask")
    return f"All {role} and nothing to go with them: {_shown(listing.images, 'file')}.{_beside(place, wanted)}"


def _beside(place: Path, wanted: str) -> str:
    """That a folder beside this one may hold the other half: the "image" or the "mask"."""
    try:
        others = sorted(one.name for one in place.parent.iterdir() if one.is_dir() and one != place)
    except OSError:
        return ""
    found = [name for name in others if place.is_dir() and folder_role(name) == wanted]
    if not found:
        return ""
    both = f"give the folder that holds both, '{place.parent}'"
    return f" Beside this folder there is {listed(found, quoted=True)}: {both}."


def _shown(entries: Sequence[Entry], noun: str) -> str:
    return f"{plural(len(entries), noun)} ({listed((entry.path for entry in entries), quoted=True)})"


def _others(listing: Listing) -> list[str]:
    counts = Counter(entry.source.suffix for entry in listing.others)
    first = {entry.source.suffix: entry.path for entry in reversed(listing.others)}
    return [
        f"{plural(counts[suffix], 'file')} ({first[suffix]}, …) may be {what}: these are not read as masks; "
        "save the annotations as mask images."
        for suffix, what in OTHERS
        if counts[suffix]
    ]

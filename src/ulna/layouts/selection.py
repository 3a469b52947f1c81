"""`data.time` and `data.scene`: what is chosen in images, and in their masks, which may hold nothing else."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ulna import formats
from ulna.dataset import Problem
from ulna.errors import UlnaError
from ulna.formats.selection import scene_of
from ulna.image import Source
from ulna.text import plural

Sources = tuple[Source, ...]

SAYING = {*formats.VOLUMES, ".gif", ".webp", ".jpg", ".jpeg", ".jpe", ".jfif"}
"""Suffixes of files that leave something open, or hold several images."""


@dataclass(frozen=True)
class Selected:
    """The files of a case with what is chosen in each.

    Parameters
    ----------
    images, masks
        A source per file; no masks where it is not known what they show.
    said
        What is said of the masks, and how severe it is: a kind of `Problem`, or nothing.
    """

    images: Sources
    masks: Sources
    said: tuple[str, str] | None = None


@dataclass(frozen=True)
class _Held:
    """The names of a file's images, how many time points the one that is read has, and how many planes one of these."""

    scenes: tuple[str, ...]
    times: int
    planes: int


def selected(images: Sources, masks: Sources) -> Selected:
    """What is chosen in the files of a case, where a time point or a scene is asked for.

    A mask file with as many images or time points as that of its image gets the same choice (of images by name, or else
    by number), and so does a stack that has a plane for each time point. One that holds a single one shows what was
    chosen. Of any other it is not known.

    Parameters
    ----------
    images, masks
        The files. An image that does not have what is asked for stays as it is: that is said when it is read.

    Returns
    -------
    Selected
        The same where nothing is asked for.
    """
    if not any(source.at is not None or source.scene is not None for source in (*images, *masks)):
        return Selected(images, masks)
    try:
        held = [_held(source) for source in images]
    except UlnaError:
        return Selected(images, masks)
    own = tuple(_alone(source, one) for source, one in zip(images, held, strict=True))
    found: list[Source] = []
    kinds: list[str] = []
    for mask in masks:
        source, kind = _mask(mask, images[0], held[0])
        if source is None:
            return Selected(own, (), (kind, "warning"))
        found.append(source)
        kinds += [kind] * bool(kind)
    return Selected(own, tuple(found), (kinds[0], "note") if kinds else None)


def in_mask(source: Source) -> Source:
    """What is chosen in a mask whose image is not there.

    Parameters
    ----------
    source
        The file, with what was asked for.

    Returns
    -------
    Source
        A file that holds one image, or one time point, shows just what was asked for.
    """
    plain = unselected(source)
    own = _known(plain)
    if own is not None and len(own.scenes) > 1:
        plain = replace(plain, scene=source.scene)
        own = _known(plain)
    return replace(plain, time=source.at, at=source.at) if own is not None and own.times > 1 else plain


def unselected(source: Source) -> Source:
    """A file without the time point and the scene that were asked for.

    Parameters
    ----------
    source
        Any file.

    Returns
    -------
    Source
        What was selected within it for other reasons stays.
    """
    return replace(source, at=None, scene=None)


def problems_of(kinds: Sequence[tuple[tuple[str, str], Sequence[str]]]) -> tuple[Problem, ...]:
    """One problem for each thing that is said of masks.

    Parameters
    ----------
    kinds
        What is said of the masks of a case, as `Selected` has it, and the files.

    Returns
    -------
    tuple of Problem
        With all files of which it is said.
    """
    files: dict[tuple[str, str], list[str]] = defaultdict(list)
    for kind, names in kinds:
        files[kind] += names
    return tuple(
        Problem(f"{plural(len(names), 'mask')}: {what}", tuple(names), severity)
        for (what, severity), names in files.items()
    )


def _held(source: Source) -> _Held:
    with formats.open_reader(source) as reader:
        return _Held(reader.scenes or ("",), reader.time_points, reader.planes)


def _known(source: Source) -> _Held | None:
    """What a file holds, at its first time point; None for what cannot be opened: that is said when it is read."""
    try:
        return _held(replace(source, time=0))
    except UlnaError:
        return None


def _alone(image: Source, held: _Held) -> Source:
    """An image with what is chosen in it, and without a word of that where there is nothing to choose."""
    at = image.at if held.times > 1 else None
    scene = image.scene if len(held.scenes) > 1 else None
    return replace(image, time=image.time if at is None else at, at=at, scene=scene)


def _mask(mask: Source, image: Source, held: _Held) -> tuple[Source | None, str]:
    """What is chosen in a mask as in its image, and what is said of that; None where it is not known what it shows."""
    by_scene = len(held.scenes) > 1 and image.scene is not None and mask.scene == image.scene
    by_time = held.times > 1 and image.at is not None and mask.at is not None
    plain = replace(mask, at=None, scene=None if mask.scene == image.scene else mask.scene)
    if mask.suffix not in SAYING:  # one plane, or outlines
        return plain, _of_one(image, scene=by_scene, time=by_time)
    own = _known(plain)
    if own is None:
        return plain, ""
    if by_scene and len(own.scenes) > 1:
        if len(own.scenes) != len(held.scenes):
            return None, _unclear("image", len(own.scenes), len(held.scenes))
        number, _ = scene_of(held.scenes, image)
        name = held.scenes[number]
        plain, by_scene = replace(plain, scene=name if name and own.scenes.count(name) == 1 else number), False
        own = _known(plain) or own
    if by_time and own.times > 1:
        if own.times != held.times:
            return None, _unclear("time point", own.times, held.times)
        plain, by_time = replace(plain, time=image.at, at=image.at), False
    elif by_time and held.planes == 1 and own.planes == held.times:
        what = f"{own.planes} planes each, as many as their images have time points: number {image.at} is taken"
        return replace(plain, page=image.at), what
    return plain, _of_one(image, scene=by_scene, time=by_time)


def _unclear(noun: str, own: int, others: int) -> str:
    return f"{plural(own, noun)} each, where their images have {others}: which of these they show is not known"


def _of_one(image: Source, *, scene: bool, time: bool) -> str:
    """That a mask holds one image, or one time point, where its image holds several."""
    one = ["one image"] * scene + ["one time point"] * time
    taken = [f"scene {image.scene}"] * scene + [f"time point {image.at}"] * time
    return f"{' and '.join(one)} each, taken for {' and '.join(taken)} of their images" if one else ""

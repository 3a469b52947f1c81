"""Images with outlines beside them: ROI zips of ImageJ, GeoJSON of QuPath, labelme JSON, or one COCO file."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from ulna.dataset import Dataset, Problem
from ulna.formats.outlines import coco, geojson, labelme
from ulna.formats.outlines.annotation import NAMELESS, Annotations
from ulna.formats.outlines.reading import JSON, coco_images, decoded, holds_regions, read_annotations
from ulna.layouts.build import CaseDraft, make_cases
from ulna.layouts.listing import Entry, Listing
from ulna.layouts.matching import words
from ulna.text import listed, plural

EXAMPLE = (
    "outlines beside the images:  a.tif  a.zip (ImageJ's ROI Manager) or a.geojson (QuPath) or a.json (labelme); "
    "or one COCO file:  images/a.png  annotations.json"
)
_ADDED = re.compile(r"rois?|roisets?|sets?|annotations?|outlines?|objects?|detections?|cells?|nuclei")
PROGRAMS = {"coco": "COCO", "geojson": "GeoJSON (QuPath)", "labelme": "labelme", "imagej": "ImageJ regions"}


@dataclass(frozen=True)
class _Outlined:
    """An image, the file of its outlines, and the file or the place in it that holds them."""

    image: Entry
    file: Entry
    truth: Entry
    found: Annotations
    program: str


def read(listing: Listing) -> Dataset | None:
    """The data set, where files of outlines belong to images and hold objects."""
    files, damaged = _files(listing)
    found, problems = _assigned(files, listing.images)
    if not any(one.found.objects for one in found):
        return None
    known = [one for one in found if one.found.objects or not one.found.skipped]
    classes = _classes(one.found for one in found)
    drafts = [
        CaseDraft(
            (one.image,),
            (one.truth,),
            objects=True,
            classes=classes,
            split=one.file.stem if one.program == "coco" else "",
        )
        for one in known
    ]
    taken = {one.image for one in known}
    drafts += [CaseDraft((entry,)) for entry in listing.images if entry not in taken]
    cases, doubts = make_cases(drafts)
    cases = tuple(replace(case, classes=classes) for case in cases)
    programs = listed([PROGRAMS[name] for name in dict.fromkeys(one.program for one in found)])
    count = sum(len(one.found.objects) for one in found)
    of = f" of {listed(classes, 8, quoted=True)}" if classes else ""
    sentence = f"{plural(len(taken), 'image')} with the outlines of {plural(count, 'object')}{of}: {programs}"
    return Dataset(
        cases, sentence, (*problems, *_damaged(damaged), *doubts, *_skipped(found), *_unread(found), *_empty(known))
    )


def unused(listing: Listing) -> tuple[Problem, ...]:
    """The problem that files of outlines lie beside the masks that are taken, if any do.

    Parameters
    ----------
    listing
        Of a data set whose masks are images.

    Returns
    -------
    tuple of Problem
        One problem, or none.
    """
    files = tuple(entry.path for entry, _ in _files(listing)[0])
    if not files:
        return ()
    what = f"{plural(len(files), 'file')} of outlines not used: the masks that lie with the images are"
    return (Problem(f"{what}. To learn from the outlines, move the masks elsewhere", files),)


def _files(listing: Listing) -> tuple[list[tuple[Entry, str]], list[Entry]]:
    """The files of outlines and the program of each; and the GeoJSON that is no JSON."""
    found, damaged = [], []
    for entry in listing.others:
        suffix = entry.source.suffix
        if suffix == ".roi":
            found.append((entry, "imagej"))
        elif suffix in JSON:
            content = decoded(entry.source)
            known = {"coco": coco, "geojson": geojson, "labelme": labelme}
            program = next((name for name, module in known.items() if module.recognizes(content)), "")
            if program:
                found.append((entry, program))
            elif content is None and suffix == ".geojson":
                damaged.append(entry)
    folders = {image.source.path.parent: image.folders for image in listing.images}
    for archive in listing.archives:
        if holds_regions(archive):
            found.append((Entry(folders.get(archive.path.parent, ()), archive), "imagej"))
    return found, damaged


def _assigned(files: Sequence[tuple[Entry, str]], images: Sequence[Entry]) -> tuple[list[_Outlined], list[Problem]]:
    """The outlines of each image that has one file of them, and the problems of all others."""
    found: dict[Entry, list[_Outlined]] = defaultdict(list)
    lost: dict[bool, list[str]] = {False: [], True: []}  # by whether there is an image
    for entry, program in files:
        for truth, same, known in _matched(entry, program, images):
            if len(same) == 1:
                annotations = known or read_annotations(truth.source)
                found[same[0]].append(_Outlined(same[0], entry, truth, annotations, program))
            else:
                lost[bool(same)].append(f"{entry.path}: {known.image}" if known else entry.path)
    problems = []
    if lost[False]:
        what = plural(len(lost[False]), "set of outlines belongs", "sets of outlines belong")
        problems.append(Problem(f"{what} to no image here", tuple(lost[False])))
    if lost[True]:
        what = plural(len(lost[True]), "set of outlines fits", "sets of outlines fit")
        hint = "Put the file beside its image; in COCO name the folder in file_name"
        problems.append(Problem(f"{what} several images. {hint}", tuple(lost[True])))
    twice = {image.path: listed(one.file.path for one in several) for image, several in found.items() if several[1:]}
    if twice:
        what = plural(len(twice), "image has outlines", "images have outlines")
        where = tuple(f"{image}: {truth}" for image, truth in twice.items())
        problems.append(Problem(f"{what} in several files: which count is not known. Keep one", where, "fatal"))
    return [several[0] for several in found.values() if not several[1:]], problems


def _matched(
    entry: Entry, program: str, images: Sequence[Entry]
) -> Iterator[tuple[Entry, list[Entry], Annotations | None]]:
    """Where a file holds outlines, the images that go by their name, and the outlines themselves if they are read."""
    if program != "coco":
        yield entry, _images_of(entry, images), None
        return
    by_name: dict[str, list[Entry]] = defaultdict(list)
    for image in images:
        by_name[image.source.name].append(image)
    for one in coco_images(entry.source):
        same = by_name.get(PurePosixPath(one.image).name, [])
        if len(same) > 1:
            same = [image for image in same if image.path.endswith(one.image)] or same
        place = replace(entry.source, inside=(*entry.source.inside, one.image))
        yield Entry(entry.folders, place), same, one


def _images_of(entry: Entry, images: Sequence[Entry]) -> list[Entry]:
    """The images whose name the file has, beside words for outlines: in the same folder, or else anywhere."""
    same = [image for image in images if _names(words(entry.stem), words(image.stem))]
    near = [image for image in same if image.folders == entry.folders]
    chosen = near or same
    longest = max((len(words(image.stem)) for image in chosen), default=0)
    return [image for image in chosen if len(words(image.stem)) == longest]


def _names(name: Sequence[str], image: Sequence[str]) -> bool:
    """Whether the words of a name are those of an image and else only such for outlines."""
    for start in range(len(name) - len(image) + 1):
        rest = [*name[:start], *name[start + len(image) :]]
        if list(name[start : start + len(image)]) == list(image) and all(_ADDED.fullmatch(word) for word in rest):
            return True
    return False


def _classes(found: Iterable[Annotations]) -> tuple[str, ...]:
    """The classes of all objects, where there are several."""
    names = sorted({one.name for annotated in found for one in annotated.objects})
    return tuple(name or NAMELESS for name in names) if len(names) > 1 else ()


def _skipped(found: Sequence[_Outlined]) -> list[Problem]:
    """What files hold beside areas."""
    where = tuple(f"{one.truth.path}: {listed(one.found.skipped, 4)}" for one in found if one.found.skipped)
    if not where:
        return []
    return [Problem(f"{plural(len(where), 'file')} of outlines hold what is no area and is left out", where)]


def _unread(found: Sequence[_Outlined]) -> list[Problem]:
    """Names of regions that may be classes, of which there are several beside what counts: `tumor-1`, `normal 2`."""
    names = [name for one in found for name in one.found.unread]
    kinds = {re.sub(r"[\W\d_]+", " ", name).strip().casefold(): name for name in names}
    if len(kinds) < 2 or len(kinds) > len(names) / 2:
        return []
    what = f"names of regions ({listed(kinds.values(), 4, quoted=True)}) are not taken for classes"
    return [Problem(f"{what}: a class follows a number, as in 00001-tumor", (), "note")]


def _empty(found: Sequence[_Outlined]) -> list[Problem]:
    """The images that were annotated and hold no object."""
    where = tuple(one.image.path for one in found if not one.found.objects)
    if not where:
        return []
    what = plural(len(where), "image is taken for one", "images are taken for ones")
    return [Problem(f"{what} without objects: the file of its outlines holds none", where, "note")]


def _damaged(files: Sequence[Entry]) -> list[Problem]:
    where = tuple(entry.path for entry in files)
    if not where:
        return []
    what = plural(len(where), "file of outlines is no JSON, or cut off", "files of outlines are no JSON, or cut off")
    return [Problem(f"{what}. Write them anew, or remove them", where, "fatal")]

"""Images with outlines beside them: ROI zips of ImageJ, GeoJSON of QuPath, labelme JSON, or one COCO file."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
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
    """An image and the file, or the place in a file, that holds its outlines."""

    image: Entry
    truth: Entry
    found: Annotations
    program: str


def read(listing: Listing) -> Dataset | None:
    """The data set, where files of outlines belong to images and no image is a mask by its name."""
    files = _files(listing)
    if not files:
        return None
    found = [one for entry, program in files for one in _matched(entry, program, listing.images)]
    images = Counter(one.image for one in found)
    if not found or max(images.values()) > 1:
        return None
    classes = _classes(one.found for one in found)
    drafts = [
        CaseDraft((one.image,), (one.truth,), objects=True, classes=classes) for one in found if one.found.objects
    ]
    taken = {one.image for one in found if one.found.objects}
    drafts += [CaseDraft((entry,)) for entry in listing.images if entry not in taken]
    cases, problems = make_cases(drafts)
    cases = tuple(replace(case, classes=classes) for case in cases)
    programs = listed([PROGRAMS[name] for name in dict.fromkeys(one.program for one in found)])
    count = sum(len(one.found.objects) for one in found)
    of = f" of {listed(classes, 8, quoted=True)}" if classes else ""
    sentence = f"{plural(len(taken), 'image')} with the outlines of {plural(count, 'object')}{of}: {programs}"
    return Dataset(cases, sentence, (*problems, *_skipped(found)))


def _files(listing: Listing) -> list[tuple[Entry, str]]:
    """The files of outlines, and the program of each."""
    found = []
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
    folders = {image.source.path.parent: image.folders for image in listing.images}
    for archive in listing.archives:
        if holds_regions(archive):
            found.append((Entry(folders.get(archive.path.parent, ()), archive), "imagej"))
    return found


def _matched(entry: Entry, program: str, images: Sequence[Entry]) -> list[_Outlined]:
    """The images whose outlines a file holds."""
    if program == "coco":
        return _of_coco(entry, images)
    image = _image_of(entry, images)
    if image is None:
        return []
    return [_Outlined(image, entry, read_annotations(entry.source), program)]


def _of_coco(entry: Entry, images: Sequence[Entry]) -> list[_Outlined]:
    by_name: dict[str, list[Entry]] = defaultdict(list)
    for image in images:
        by_name[image.source.name].append(image)
    found = []
    for one in coco_images(entry.source):
        same = by_name.get(PurePosixPath(one.image).name, [])
        if len(same) > 1:
            same = [image for image in same if image.path.endswith(one.image)]
        if len(same) == 1:
            place = replace(entry.source, inside=(*entry.source.inside, one.image))
            found.append(_Outlined(same[0], Entry(entry.folders, place), one, "coco"))
    return found


def _image_of(entry: Entry, images: Sequence[Entry]) -> Entry | None:
    """The image whose name the file has, beside words for outlines: in the same folder, or else anywhere."""
    same = [image for image in images if _names(words(entry.stem), words(image.stem))]
    near = [image for image in same if image.folders == entry.folders]
    chosen = near or same
    longest = max((len(words(image.stem)) for image in chosen), default=0)
    chosen = [image for image in chosen if len(words(image.stem)) == longest]
    return chosen[0] if len(chosen) == 1 else None


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

"""From pairs of files to cases: frames of films, names, groups, and what was left over."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ulna import formats
from ulna.alignment import is_unset
from ulna.dataset import Case, Problem, plain_name
from ulna.errors import ReadError, UlnaError
from ulna.image import Source
from ulna.layouts.listing import Entry
from ulna.layouts.matching import PART, Pairing, by_modality, folder_role, words
from ulna.layouts.parts import part_of, parts_of
from ulna.layouts.selection import SAYING, in_mask, problems_of, selected
from ulna.names import individual
from ulna.text import plural, size

MIN_FOLDERS = 4
MAX_SIZED = 20  # masks without an image whose size is said


@dataclass(frozen=True)
class CaseDraft:
    """A case before it has its final name and group.

    Parameters
    ----------
    images
        The files of the image, one per modality.
    truth
        The files of the truth; empty where there is none.
    objects
        As that of `Case`.
    name
        Of the case; by default that of its first image.
    truth_classes, classes, numbered, markers, channels
        As those of `Case`.
    split
        A name that tells the part of a ready-made split where no image's does.
    """

    images: tuple[Entry, ...]
    truth: tuple[Entry, ...] = ()
    objects: bool = False
    name: str = ""
    truth_classes: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    numbered: bool = False
    markers: tuple[Entry, ...] = ()
    channels: tuple[str, ...] = ()
    split: str = ""


def drafts(pairing: Pairing) -> list[CaseDraft]:
    """One draft per pair, and one for each image that has no mask.

    Where images with masks have several files, the modalities, those without have them too.

    Parameters
    ----------
    pairing
        Which mask belongs to which image.

    Returns
    -------
    list of CaseDraft
        In natural order of the images.
    """
    several = any(len(images) > 1 for images, _ in pairing.pairs)
    loose = by_modality(pairing.images) if several else [(image,) for image in pairing.images]
    return [CaseDraft(images, (mask,)) for images, mask in pairing.pairs] + [CaseDraft(images) for images in loose]


def make_cases(found: Sequence[CaseDraft]) -> tuple[tuple[Case, ...], tuple[Problem, ...]]:
    """Cases with unique names and groups; a volume is one case, a film one case per time point, in one group.

    Names are the image's stem, or its path without suffix where stems repeat. The group is the film, else the folder
    (where folders look like patients), else the case by itself.

    Parameters
    ----------
    found
        The drafts of a layout.

    Returns
    -------
    tuple of Case, tuple of Problem
        The cases in the same order, and what is doubtful about them.
    """
    names = _names(found)
    groups = _groups(found, names)
    parts = parts_of([(draft.images[0].folders, draft.images[0].stem) for draft in found])
    parts = parts if any(parts) else [part_of(draft.split) for draft in found]
    chosen, said = _selected(found)
    cases: list[Case] = []
    uneven: dict[str, list[Source]] = {}
    for stated, draft, name, group, part in zip(found, chosen, names, groups, parts, strict=True):
        images = tuple(entry.source for entry in draft.images)
        truth = tuple(entry.source for entry in draft.truth)
        case = Case(
            name,
            images,
            truth,
            group,
            draft.objects,
            draft.truth_classes,
            draft.classes,
            part,
            draft.numbered,
            tuple(entry.source for entry in draft.markers),
            channels=draft.channels,
        )
        extents = _extents(case)
        counts = [extent.planes for extent in extents]
        if len(set(counts)) > 1 and not all(extent.placed for extent in extents):
            uneven.setdefault(_pages_differ(counts[: len(images)], counts[len(images) :]), []).extend(
                entry.source for entry in (*stated.images, *stated.truth)
            )
            case = replace(case, truth=())
        # modalities that differ stay whole: that they do not go together is said when they are read
        cases += _frames(case, extents[0]) if len(set(counts[: len(images)])) == 1 else [case]
    problems = [Problem(what, tuple(map(str, files))) for what, files in uneven.items()]
    return _unique(cases), (*_uneven(found), *problems, *said, *_assumed(chosen))


def _selected(found: Sequence[CaseDraft]) -> tuple[list[CaseDraft], tuple[Problem, ...]]:
    """The drafts with what `data.time` and `data.scene` choose in each file, and what is said of their masks."""
    made, said = [], []
    for draft in found:
        masks = (*draft.truth, *draft.markers)
        chosen = selected(tuple(one.source for one in draft.images), tuple(one.source for one in masks))
        images = [replace(one, source=own) for one, own in zip(draft.images, chosen.images, strict=True)]
        kept = [replace(one, source=own) for one, own in zip(masks, chosen.masks, strict=False)]
        count = len(draft.truth)
        made.append(replace(draft, images=tuple(images), truth=tuple(kept[:count]), markers=tuple(kept[count:])))
        if chosen.said:
            said.append((chosen.said, [one.path for one in draft.truth]))
    return made, problems_of(said)


def _pages_differ(images: Sequence[int], truth: Sequence[int]) -> str:
    """That files of one case have different numbers of planes, and what it may mean."""
    what = f"files of one case have different numbers of planes: {', '.join(map(str, (*images, *truth)))}"
    channels = set(truth) == {1} and 1 not in images
    return f"{what}. If the planes of an image are its channels, set data.axes: CYX" if channels else what


def _assumed(found: Sequence[CaseDraft]) -> list[Problem]:
    """What files do not say and was assumed when they were opened, one problem per kind."""
    kinds: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for draft in found:
        for entry in (*draft.images, *(() if draft.objects and not draft.numbered else draft.truth)):
            if entry.source.suffix not in SAYING:
                continue
            try:
                with formats.open_reader(entry.source) as reader:
                    said, chosen = reader.assumed, reader.chosen
            except UlnaError:
                continue  # said when it is read
            for what, severity in ((said, "warning"), (chosen, "note")):
                if what:
                    kinds.setdefault((re.sub(r"\d+", "#", what), severity), []).append((what, entry.path))
    return [
        Problem(f"{plural(len(files), 'file')}: {files[0][0]}", tuple(path for _, path in files), severity)
        for (_, severity), files in kinds.items()
    ]


def _uneven(found: Sequence[CaseDraft]) -> tuple[Problem, ...]:
    """The problem that images with masks have different numbers of files: then these may be frames of a film."""
    counts = Counter(len(draft.images) for draft in found if draft.truth)
    if len(counts) < 2:
        return ()
    shown = ", ".join(f"{count} in {plural(cases, 'case')}" for count, cases in counts.most_common())
    what = (
        f"files numbered 0000, 0001, … are taken for the channels of one image, and their number differs: {shown}. "
        "If they are frames, each needs a mask of its own name"
    )
    usual = counts.most_common(1)[0][0]
    return (Problem(what, tuple(d.images[0].path for d in found if d.truth and len(d.images) != usual)),)


def _unique(cases: Sequence[Case]) -> tuple[Case, ...]:
    """The cases with names that no two share, as lists of cases and file systems compare them; frames keep theirs.

    Two stacks whose names differ in upper and lower case alone stay so: `predict` says that they cannot be told apart.
    """
    taken = {name_key(case.name) for case in cases if case.images[0].frame is not None}
    made = []
    for case in cases:
        name, number = case.name, 1
        while case.images[0].frame is None and name_key(name) in taken:
            number += 1
            name = f"{case.name}~{number}"
        taken.add(name_key(name))
        group = name if case.group == case.name else case.group
        made.append(case if name == case.name else replace(case, name=name, group=group))
    return tuple(made)


def name_key(name: str) -> str:
    """What must differ in names of cases: masks are named after them, and file systems ignore upper and lower case.

    Parameters
    ----------
    name
        Of a case.

    Returns
    -------
    str
        Equal for names that are the same to a file system.
    """
    return plain_name(name).casefold()


def left_over(masks: Sequence[Entry]) -> tuple[Problem, ...]:
    """The problem that masks belong to no image, if there are any.

    Parameters
    ----------
    masks
        Masks that no image has.

    Returns
    -------
    tuple of Problem
        One problem, or none.
    """
    if not masks:
        return ()
    what = plural(len(masks), "mask belongs to no image", "masks belong to no image")
    return (Problem(what, tuple(_with_size(entry) if k < MAX_SIZED else entry.path for k, entry in enumerate(masks))),)


def _with_size(entry: Entry) -> str:
    """The path of a file and, of a volume, its size: it may be one of something else."""
    if entry.source.suffix in formats.VOLUMES:
        try:
            with formats.open_reader(entry.source) as reader:
                return f"{entry.path} ({size(reader.grid.shape)})" if reader.grid.ndim == 3 else entry.path
        except UlnaError as error:
            return f"{entry.path} ({error.what})"
    return entry.path


@dataclass(frozen=True)
class _Extent:
    """How many planes a file holds, of how many time points, and whether it is a volume that says where it lies."""

    planes: int = 1
    times: int = 1
    placed: bool = False


def _extents(case: Case) -> list[_Extent]:
    """That of each file of a case; one plane for what cannot be read: that shows, and is said, when it is read."""
    files = (*case.images, *case.truth)
    single = case.objects and not case.numbered
    if single or not any(source.suffix in formats.VOLUMES for source in files):
        return [_Extent()] * len(files)
    extents = []
    for source in files:
        try:
            with formats.open_reader(source) as reader:
                placed = reader.grid.ndim == 3 and reader.times == 1 and not is_unset(reader.grid)
                extents.append(_Extent(reader.planes if source.page is None else 1, reader.times, placed))
        except ReadError:
            return [_Extent()] * len(files)
    return extents


def _frames(case: Case, extent: _Extent) -> list[Case]:
    """The case itself, or one case a time point where its files are films, of planes or of volumes.

    Where one time point is chosen, it is the case of this time point alone.
    """
    time, group = case.images[0].time, case.group or case.name
    if extent.times == 1:
        return [case if time is None else replace(case, name=f"{case.name}_{time:04d}", group=group)]
    sides = [_at_times(files, extent) for files in (case.images, case.truth, case.markers)]
    return [
        replace(case, name=f"{case.name}_{time:04d}", images=images, truth=truth, markers=markers, group=group)
        for time, (images, truth, markers) in enumerate(zip(*sides, strict=True))
    ]


def _at_times(sources: tuple[Source, ...], extent: _Extent) -> list[tuple[Source, ...]]:
    """Files of a film at each of its time points: a plane of it, or the volume at this time."""
    if extent.planes == extent.times:
        return [tuple(replace(source, page=time) for source in sources) for time in range(extent.times)]
    return [tuple(replace(source, time=time) for source in sources) for time in range(extent.times)]


def frames_of(source: Source) -> list[Source]:
    """The frames of a film.

    Parameters
    ----------
    source
        A file.

    Returns
    -------
    list of Source
        The file itself where it is no film.

    Raises
    ------
    ReadError
        For a file that cannot be opened.
    """
    source = in_mask(source)
    if source.suffix not in formats.VOLUMES or source.time is not None:
        return [source]
    with formats.open_reader(source) as reader:
        extent = _Extent(reader.planes, reader.times)
    return [source] if extent.times == 1 else [one for (one,) in _at_times((source,), extent)]


def _names(found: Sequence[CaseDraft]) -> list[str]:
    """Stems; where one repeats, its cases are named by their paths; where that repeats, with suffix.

    `IMG` and `img` count as the same: masks are named after cases, and many systems take them for one file.
    """
    first = [draft.images[0] for draft in found]
    stems = [_stem(draft) for draft in found]
    paths = ["/".join((*entry.folders, stem)) for entry, stem in zip(first, stems, strict=True)]
    often, again = (Counter(map(name_key, names)) for names in (stems, paths))
    return [
        stem if often[name_key(stem)] == 1 else path if again[name_key(path)] == 1 else entry.path
        for entry, stem, path in zip(first, stems, paths, strict=True)
    ]


def _stem(draft: CaseDraft) -> str:
    if draft.name:
        return draft.name
    stem = draft.images[0].stem
    return re.sub(r"_\d{4}$", "", stem) if len(draft.images) > 1 else stem


def _groups(found: Sequence[CaseDraft], names: Sequence[str]) -> list[str]:
    """The folder of each case if folders look like patients, else the case's own name."""
    named = [_patient(draft.images[0].folders) for draft in found]
    # of images with a folder and files of objects each, the folders are the images
    whole = [() if draft.objects and draft.name else folder for draft, folder in zip(found, named, strict=True)]
    cut = [_of_patient(folder) for folder in named]  # visits, studies and series of a patient lie in its folder
    folders = [own or all_ for own, all_ in zip(cut, whole, strict=True)] if len(set(cut) - {()}) > 1 else whole
    told = {folder for folder in folders if folder}
    numbered = all(any(character.isdigit() for character in folder[-1]) for folder in told)
    if len(told) < 2 or (len(told) < MIN_FOLDERS and not numbered):
        return list(names)
    short = Counter(folder[-1] for folder in told)
    return [
        name if not folder else folder[-1] if short[folder[-1]] == 1 else "/".join(folder)
        for folder, name in zip(folders, names, strict=True)
    ]


def _patient(folders: tuple[str, ...]) -> tuple[str, ...]:
    """The folders that may name a patient: those that name neither a role nor a part of the data set."""
    return tuple(
        name for name in folders if not folder_role(name) and not any(PART.fullmatch(word) for word in words(name))
    )


def _of_patient(folders: tuple[str, ...]) -> tuple[str, ...]:
    """The folders to the one that says whom it names, such as P01 or sub-03, most surely; none where none does."""
    sure = [individual(name) for name in folders]
    return folders[: sure.index(max(sure)) + 1] if any(sure) else ()

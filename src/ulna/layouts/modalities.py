"""One folder per case, one file per modality, as in BraTS: `-t1n -t1c -t2w -t2f -seg`, `_t1 _t1ce _t2 _flair _seg`."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ulna import formats
from ulna.alignment import is_unset, rounded
from ulna.channels import SEQUENCES
from ulna.dataset import Case, Dataset, Problem
from ulna.errors import UlnaError
from ulna.layouts.build import CaseDraft, make_cases
from ulna.layouts.listing import Entry, Listing, natural
from ulna.layouts.matching import is_mask_name
from ulna.layouts.selection import unselected
from ulna.names import patient_of_visit
from ulna.text import listed, plural

EXAMPLE = "a folder per case with one file per modality (BraTS):  p1/p1-t1n.nii.gz  p1/p1-t1c.nii.gz  p1/p1-seg.nii.gz"
MOST = 0.9
"""Share of the cases that must have a modality for the cases without it to be left out, and not the modality."""

MAX_OPENED = 8
"""Files that are not used and whose headers are looked at all the same."""

_NAMES = {word: name for name, words in SEQUENCES.items() for word in words}
_SEPARATOR = re.compile(r"[\s_.-]+")
_TRUTH = re.compile(r"OT([A-Z]\w*)?", re.ASCII)  # the "observed truth" of DeepMedic: OTMultiClass
_BRAIN = re.compile(r"brain|skull", re.IGNORECASE)

Key = tuple[tuple[str, ...], str]


@dataclass
class _Files:
    """The files of a case: by modality, its segmentations, and masks of the brain."""

    images: dict[str, list[Entry]] = field(default_factory=lambda: defaultdict(list))
    masks: list[Entry] = field(default_factory=list)
    brains: list[Entry] = field(default_factory=list)

    @property
    def clear(self) -> bool:
        """Whether no modality comes twice."""
        return all(len(entries) == 1 for entries in self.images.values())

    @property
    def of_frames(self) -> bool:
        """Whether several of the images have a mask of their own: `t1` and `t2` are times then."""
        return len({modality(entry.stem) for entry in self.masks} - {""}) > 1

    @property
    def complete(self) -> bool:
        """Whether there are two modalities or more, and a segmentation."""
        return len(self.images) > 1 and bool(self.masks)


def read(listing: Listing) -> Dataset | None:
    """The data set, where files named after modalities of MR lie beside a segmentation."""
    found = _cases(listing.images)
    complete = [one for one in found.values() if one.complete]
    if not complete or 2 * sum(one.of_frames for one in complete) > len(complete):
        return None
    found = {key: one for key, one in found.items() if one.images}
    names, short = _common(found.values())
    drafts = [_draft(key, one, names) for key, one in found.items() if set(names) <= set(one.images)]
    made, problems = make_cases(drafts)
    visits = Counter(_patient(case) for case in made)
    cases = tuple(replace(case, group=_patient(case) if visits[_patient(case)] > 1 else case.group) for case in made)
    count = sum(bool(case.truth) for case in cases)
    sentence = f"{plural(count, 'case')} with one file per modality ({listed(names, 8)}) and a segmentation"
    return Dataset(cases, sentence, (*short, *problems, *_unused(found.values(), names)))


def joined(entries: Sequence[Entry], channels: int, *, choosing: bool) -> tuple[list[CaseDraft], list[Entry]]:
    """The images that have a file per modality, with or without a segmentation, and the files that belong to none.

    Parameters
    ----------
    entries
        Files to be predicted.
    channels
        How many modalities an image has.
    choosing
        Whether it may have any of them, for the model chooses its own.

    Returns
    -------
    list of CaseDraft, list of Entry
        Segmentations are the truth of their image; masks of the brain are in neither.
    """
    drafts, used = list[CaseDraft](), set[Entry]()
    for key, files in _cases(entries).items():
        names = [name for name in SEQUENCES if name in files.images]
        if len(names) > 1 and (choosing or len(names) == channels):
            drafts.append(_draft(key, files, names))
            used.update(*files.images.values(), files.masks, files.brains)
    return drafts, [entry for entry in entries if entry not in used]


def _cases(images: Iterable[Entry]) -> dict[Key, _Files]:
    """The files of each case: those of its folder or, where a folder holds several cases, those of one name."""
    folders: dict[Key, _Files] = defaultdict(_Files)
    for entry in images:
        _add(folders[entry.folders, ""], entry)
    found: dict[Key, _Files] = {}
    for (folder, _), files in folders.items():
        if files.clear:
            found[folder, ""] = files
            continue
        by_name: dict[Key, _Files] = defaultdict(_Files)
        entries = [*(one for of in files.images.values() for one in of), *files.masks, *files.brains]
        for entry in sorted(entries, key=lambda one: natural(one.path)):
            _add(by_name[folder, _bare(entry)], entry)
        found |= {key: one for key, one in by_name.items() if one.clear}
    return found


def _add(files: _Files, entry: Entry) -> None:
    if _BRAIN.search(entry.stem):
        files.brains.append(entry)
    elif is_mask_name(entry.stem) or _TRUTH.fullmatch(entry.stem):
        files.masks.append(entry)
    elif name := modality(entry.stem):
        files.images[name].append(entry)


def modality(stem: str) -> str:
    """The modality that a file is named after; "" where it names none, or several.

    Parameters
    ----------
    stem
        The file's name without suffix.

    Returns
    -------
    str

    Examples
    --------
    >>> modality("BraTS-GLI-00001-000-t2f"), modality("Brats18_1_t1ce"), modality("Flair_subtrMeanDivStd")
    ('FLAIR', 'T1 contrast', 'FLAIR')
    """
    found = {_NAMES[word.casefold()] for word in _SEPARATOR.split(stem) if word.casefold() in _NAMES}
    return found.pop() if len(found) == 1 else ""


def _bare(entry: Entry) -> str:
    """The name of a file without its modality, and without the word for a segmentation."""
    words = [word for word in _SEPARATOR.split(entry.stem) if word.casefold() not in _NAMES and not is_mask_name(word)]
    return "_".join(words)


def _common(found: Iterable[_Files]) -> tuple[tuple[str, ...], tuple[Problem, ...]]:
    """The modalities that are used, and what is to be said of cases that have others."""
    files = [one for one in found if one.masks] or list(found)
    counts = Counter(name for one in files for name in one.images)
    usual = [name for name in SEQUENCES if counts[name] >= MOST * len(files)]
    shared = [name for name in SEQUENCES if counts[name] == len(files)]
    names = usual or shared or [counts.most_common(1)[0][0]]
    lacking = [one for one in files if not set(names) <= set(one.images)]
    problems = []
    if lacking:
        what = plural(len(lacking), "case lacks a modality and is", "cases lack a modality and are")
        where = tuple(next(iter(one.images.values()))[0].path for one in lacking)
        problems.append(Problem(f"{what} left out: the others have {listed(names, 8)}", where))
    left = [entry for one in files for name, of in one.images.items() if name not in names for entry in of]
    if left:
        shown = ", ".join(f"{name} in {count}" for name, count in counts.most_common())
        what = (
            f"{plural(len(files), 'case has', 'cases have')} different modalities ({shown}): those that all have are "
            f"used, {listed(names, 8)}"
        )
        problems.append(Problem(what, tuple(entry.path for entry in left)))
    return tuple(names), tuple(problems)


def _draft(key: Key, files: _Files, names: Sequence[str]) -> CaseDraft:
    folder, name = key
    images = tuple(files.images[one][0] for one in names)
    first = images[0].source
    place = first.path.stem if first.inside else first.path.absolute().parent.name
    name = name or (folder[-1] if folder else place)
    return CaseDraft(images, tuple(_best(files.masks)[:1]), name=name, channels=tuple(names))


def _best(masks: Sequence[Entry]) -> list[Entry]:
    """Segmentations of one case: the one whose name adds the least first."""
    return sorted(masks, key=lambda entry: (len(entry.stem), natural(entry.stem)))


def _patient(case: Case) -> str:
    """The patient of a case: the visits of one are numbered behind the patient's number."""
    return patient_of_visit(case.name) or case.group


def _unused(found: Iterable[_Files], names: Sequence[str]) -> tuple[Problem, ...]:
    """What is to be said of second segmentations and of masks of the brain, and what is odd about these files."""
    files = [one for one in found if set(names) <= set(one.images)]
    second = [entry for one in files for entry in _best(one.masks)[1:]]
    brains = [entry for one in files for entry in one.brains]
    problems = []
    if second:
        first = _best(next(one for one in files if len(one.masks) > 1).masks)[0].source.name
        what = f"{plural(len(second), 'further segmentation is', 'further segmentations are')} left out: "
        what += f"'{first}' is used, for its name adds the least. data.masks says which to take"
        problems.append(Problem(what, _described(second)))
    if brains:
        what = plural(len(brains), "mask of the brain is no annotation and is", "masks of the brain are none and are")
        problems.append(Problem(f"{what} left out", _described(brains), "note"))
    return tuple(problems)


def _described(entries: Sequence[Entry]) -> tuple[str, ...]:
    """Paths of files, the first few with what is odd about them."""
    odd: Mapping[Entry, str] = {entry: oddities(entry) for entry in entries[:MAX_OPENED]}
    return tuple(f"{entry.path} ({odd[entry]})" if odd.get(entry) else entry.path for entry in entries)


def oddities(entry: Entry) -> str:
    """What is odd about a file of labels.

    Parameters
    ----------
    entry
        Of a volume.

    Returns
    -------
    str
        In words: numbers that are no whole ones by type or value, a place that is not set.
    """
    try:
        image = formats.read(unselected(entry.source))
    except UlnaError as error:
        return error.what
    found = []
    if image.array.dtype.kind == "f":
        _, off = rounded(image.array)
        found.append(f"{image.array.dtype}, off whole numbers by {off:.1g}" if off else f"{image.array.dtype}")
    if image.ndim == 3 and is_unset(image.grid):
        found.append("does not say where it lies: its matrix is the identity")
    return ", ".join(found)

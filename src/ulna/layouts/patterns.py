"""Stated layouts: which files are images and which masks, as the settings `data.images` and `data.masks` say."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ulna.config import DataConfig
from ulna.dataset import Dataset, Problem
from ulna.errors import UlnaError
from ulna.image import Source
from ulna.layouts.arrays import expanded
from ulna.layouts.build import CaseDraft, drafts, left_over, make_cases
from ulna.layouts.classed import by_class, class_names, each_an_object
from ulna.layouts.listing import Entry, Listing
from ulna.layouts.matching import pair
from ulna.text import listed, plural

_TOKENS = re.compile(r"\*\*/|\*|\?|\{case\}|\{class\}")


@dataclass(frozen=True)
class Patterns:
    """Glob patterns of images and of masks, relative to the data's root; those that are empty say nothing.

    ``*`` stands for any characters of a name, ``**/`` for any folders, ``{case}`` for the name of the case, which joins
    images and masks, and ``{class}`` for the class that a file of masks shows.

    Parameters
    ----------
    images, masks
        The patterns.
    axes
        Of TIFF files that do not state theirs ("CYX", "YXC", "ZYX", …).
    spacing, unit
        Of files that do not say how far apart their pixels lie.
    missing
        What NaN in them is read as.
    labels
        The folder of the labels, where there are several.
    time, scene
        Which time point and which scene of the files are read; None: all time points, the first scene.
    """

    images: tuple[str, ...] = ()
    masks: tuple[str, ...] = ()
    axes: str = ""
    spacing: tuple[float, ...] = ()
    unit: str = ""
    labels: str = ""
    missing: float | None = None
    time: int | None = None
    scene: int | str | None = None

    @classmethod
    def of(cls, data: DataConfig) -> Patterns:
        """What the section `data` of a configuration says."""
        unit = data.unit if data.spacing else ""
        return cls(
            data.images,
            data.masks,
            data.axes,
            data.spacing,
            unit,
            data.labels,
            data.missing,
            data.time,
            data.scene,
        )

    def place(self, path: Path) -> Source:
        """A folder, archive or file with what was stated of it."""
        return Source(
            path,
            axes=self.axes,
            spacing=self.spacing,
            unit=self.unit,
            missing=self.missing,
            scene=self.scene,
            at=self.time,
        )

    def __bool__(self) -> bool:
        return bool(self.images or self.masks)


NO_PATTERNS = Patterns()


@dataclass(frozen=True)
class _Match:
    """A file that fits a pattern: what stands for the case, the folders that `**/` stood for, and the class."""

    entry: Entry
    case: str
    folders: tuple[str, ...]
    class_: str = ""


def fits(listing: Listing, patterns: Patterns) -> bool:
    """Whether any file fits a pattern of the masks, or of the images where there are none of masks."""
    listing = expanded(listing, (*patterns.images, *patterns.masks))
    return bool(_matches(listing.images, patterns.masks or patterns.images))


def read(listing: Listing, patterns: Patterns) -> Dataset:
    """The data set as the patterns say. Raises UlnaError for a pattern that fits no file, and names some files."""
    listing = expanded(listing, (*patterns.images, *patterns.masks))
    images = _fitting(listing, "data.images", patterns.images)
    masks = _fitting(listing, "data.masks", patterns.masks, cases={match.case for match in images})
    taken = {match.entry for match in (*images, *masks)}
    rest = [entry for entry in listing.images if entry not in taken]
    if not patterns.images:
        images = [_Match(entry, _plain(entry.stem), ()) for entry in rest]
        masks = _fitting(listing, "data.masks", patterns.masks, cases={match.case for match in images})
    if alone := _one_each(images, masks):
        made, problems = make_cases(alone)
        return Dataset(made, f"{_sentence(alone)}, one of each in a folder", problems)
    if not patterns.masks or not all(match.case for match in masks):  # a file named outright says nothing of its case
        return _by_name(images, rest if not patterns.masks else [match.entry for match in masks])
    found, sentence, said = _joined(images, masks, folders=bool(patterns.images))
    if not any(draft.truth for draft in found):  # the wildcards of both stand for different things
        return _by_name(images, [match.entry for match in masks])
    used = {entry for draft in found for entry in draft.truth}
    made, problems = make_cases(found)
    unused = [match.entry for match in masks if match.entry not in used]
    return Dataset(made, sentence, (*said, *problems, *left_over(unused)))


def _fitting(listing: Listing, setting: str, patterns: Sequence[str], cases: Iterable[str] = ()) -> list[_Match]:
    for pattern in patterns:
        if not _matches(listing.images, [pattern]):
            raise UlnaError(
                f"no image file fits the pattern '{pattern}'",
                where=setting,
                hint=f"Files are called {listed((entry.path for entry in listing.images), quoted=True)}; patterns are "
                "relative to the place of the data.",
            )
    return _matches(listing.images, patterns, cases)


def _matches(entries: Iterable[Entry], patterns: Sequence[str], cases: Iterable[str] = ()) -> list[_Match]:
    """The files that fit any of the patterns; `cases` are the names that may stand for the case, if these are known."""
    compiled = [_compiled(pattern, sorted(cases, key=len, reverse=True)) for pattern in patterns]
    found = []
    for entry in entries:
        fitting = next((match for one in compiled if (match := one.fullmatch(_plain(entry.path)))), None)
        if fitting:
            named = fitting.groupdict()
            stars = [text for key, text in named.items() if key.startswith("star")]
            folders = tuple(text or "" for key, text in named.items() if key.startswith("folders"))
            found.append(_Match(entry, named.get("case") or "*".join(stars), folders, named.get("class_") or ""))
    return found


def _compiled(pattern: str, cases: Sequence[str]) -> re.Pattern[str]:
    """The pattern as a regular expression; where a class follows the case, the case is one of those that are known."""
    known = "|".join(map(re.escape, cases)) if cases and "{case}" in pattern and "{class}" in pattern else "[^/]+"
    text, at, seen = "", 0, 0
    pattern = _plain(pattern).removeprefix("./")
    for token in _TOKENS.finditer(pattern):
        text += re.escape(pattern[at : token.start()])
        at, seen = token.end(), seen + 1
        name = {"{case}": "case", "{class}": "class_"}.get(token[0], "")
        if name and f"(?P<{name}>" in text:
            text += f"(?P={name})"
        else:
            text += {
                "**/": f"(?P<folders{seen}>(?:[^/]+/)*)",
                "*": f"(?P<star{seen}>[^/]*)",
                "?": "[^/]",
                "{case}": f"(?P<case>{known})",
                "{class}": "(?P<class_>[^/]+)",
            }[token[0]]
    return re.compile(text + re.escape(pattern[at:]))


def _joined(
    images: Sequence[_Match], masks: Sequence[_Match], *, folders: bool
) -> tuple[Sequence[CaseDraft], str, tuple[Problem, ...]]:
    """A draft per image, with the masks of the same case; what they are in words, and what is to be said."""
    alike = folders and len({len(match.folders) for match in (*images, *masks)}) == 1
    by_key: dict[tuple[object, ...], list[_Match]] = defaultdict(list)
    for mask in masks:
        by_key[mask.folders if alike else (), mask.case].append(mask)
    of_image = [by_key.get((image.folders if alike else (), image.case), []) for image in images]
    found = [
        CaseDraft((image.entry,), tuple(mask.entry for mask in of_it))
        for image, of_it in zip(images, of_image, strict=True)
    ]
    if class_names(mask.class_ for mask in masks if mask.class_):
        named = [
            replace(draft, truth_classes=tuple(mask.class_ for mask in of_it))
            for draft, of_it in zip(found, of_image, strict=True)
        ]
        classed = by_class(named)
        return classed.drafts, f"{_sentence(found)}, {classed.sentence}", classed.problems
    objects = each_an_object([[mask.entry for mask in of_it] for of_it in by_key.values()])
    found = [replace(draft, objects=objects) for draft in found]
    return found, _sentence(found), _united(found)


def _by_name(images: Sequence[_Match], masks: Sequence[Entry]) -> Dataset:
    """Images and masks joined by names as in any layout, wherever they lie."""
    pairing = pair([match.entry for match in images], masks, lambda _: ())
    if not pairing.pairs:
        raise UlnaError(
            f"no image finds its mask by name: images are called "
            f"{listed((match.entry.path for match in images), quoted=True)}, masks "
            f"{listed((entry.path for entry in masks), quoted=True)}",
            where="data.images and data.masks",
            hint="Write {case} in both patterns where the name of the case stands: 'scans/{case}.png', "
            "'drawn/{case}_roi.png'.",
        )
    found = drafts(pairing)
    made, problems = make_cases(found)
    return Dataset(made, _sentence(found), (*problems, *left_over(pairing.masks)))


def _one_each(images: Sequence[_Match], masks: Sequence[_Match]) -> list[CaseDraft]:
    """Pairs where nothing else is possible: one image and one mask in each folder, and no class that a name states."""
    folders, by_folder = [image.entry.folders for image in images], {mask.entry.folders: mask.entry for mask in masks}
    alone = len(by_folder) == len(masks) and len(set(folders)) == len(folders) and set(folders) == set(by_folder)
    if not alone or any(mask.class_ for mask in masks):
        return []
    return [CaseDraft((image.entry,), (by_folder[image.entry.folders],)) for image in images]


def _sentence(found: Sequence[CaseDraft]) -> str:
    count = sum(bool(draft.truth) for draft in found)
    return f"{plural(count, 'image')} with masks as data.images and data.masks say"


def _united(found: Sequence[CaseDraft]) -> tuple[Problem, ...]:
    several = [draft for draft in found if len(draft.truth) > 1]
    if not several:
        return ()
    become = "each of which is taken for one object" if several[0].objects else "which are united to one"
    what = f"{plural(len(several), 'image has several masks', 'images have several masks')}, {become}"
    return (Problem(what, tuple(draft.images[0].path for draft in several), "note"),)


def _plain(text: str) -> str:
    return unicodedata.normalize("NFC", text)

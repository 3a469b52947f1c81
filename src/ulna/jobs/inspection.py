"""What `check` remembers of each case once it has been read, and what is wrong with all of them together."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ulna.alignment import SAME, Misplaced, Verdict
from ulna.channels import positions, taken_by_number
from ulna.dataset import Case, Problem, case_bytes, load_image
from ulna.errors import UlnaError
from ulna.formats.base import RGB
from ulna.formats.outlines.reading import is_outline
from ulna.image import Array, Channel
from ulna.jobs.volume_checks import VolumeFacts, volume_facts
from ulna.labels.interpolation import is_interpolated
from ulna.labels.packed import counted, distinct
from ulna.labels.pieces import Pieces, pieces_of
from ulna.leaks import Fingerprint, fingerprint_of, upright
from ulna.leaks.duplicates import digest
from ulna.masks import Overlap
from ulna.normalization import sample
from ulna.parallel import in_parallel
from ulna.text import listed, plural, size
from ulna.truth import placed_truth, stated_objects, unsegmented_objects

FEW = 10  # cases below which a warning is given


@dataclass(frozen=True)
class Inspection:
    """A case that was read: sizes, types, the values of its mask and their counts, and what tells leaks.

    `values` (1, 1, n), or (3, 1, n) for colors, are the different values of the mask, `counts` (n,) their pixels and
    `pieces` how they are connected; `interpolated` says whether thin rims of values lie between those of both sides.
    `verdict` and `off` say how the mask lay on the image and by how much its values were off whole ones; `volume` is
    kept of volumes.
    """

    case: Case
    shape: tuple[int, ...]
    channels: int
    names: tuple[str, ...]
    dtype: str
    values: Array
    counts: Array
    pieces: Pieces
    interpolated: bool
    truth_dtype: str
    objects: int
    overlaps: tuple[Overlap, ...]
    print: Fingerprint
    truth: bytes
    intensity_statistics: tuple[float, ...]
    verdict: Verdict = SAME
    off: float = 0.0
    volume: VolumeFacts | None = None

    @property
    def color(self) -> bool:
        """Whether its channels are red, green and blue."""
        return self.names == tuple(channel.name for channel in RGB)


@dataclass(frozen=True)
class Failure:
    """A case that cannot be used, and why; `kind` gathers those of one kind."""

    case: Case
    kind: str
    why: str


UNREADABLE = "cannot be read"
NO_MASK = "mask that cannot be used"
MISMATCH = "mask of another size than the image"
ELSEWHERE = "mask of another place or pixel size than the image"

Seen = tuple[Inspection, Array] | Failure


def inspect(cases: Sequence[Case]) -> Iterator[Seen]:
    """Read cases, some ahead in threads, and give in order what was seen: a look and the mask, or why not."""
    yield from in_parallel(_look, cases, weigh=case_bytes)


def _look(case: Case) -> Seen:
    try:
        return _seen(case)
    except MemoryError:
        return Failure(case, UNREADABLE, f"{case.name}: does not fit in the memory")


def _seen(case: Case) -> Seen:
    try:
        image = load_image(case)
        truth = placed_truth(case, image.grid)
        mask = truth.image.array
    except Misplaced as error:
        return Failure(case, MISMATCH if error.verdict.kind == "size" else ELSEWHERE, f"{case.name}: {error.what}")
    except UlnaError as error:
        return Failure(case, UNREADABLE, f"{case.name}: {error.what}")
    try:
        values, counts, codes = distinct(mask)
    except UlnaError as error:
        return Failure(case, NO_MASK, f"{case.name}: {error.what}. {error.hint}")
    found = counted(codes)[0]
    look = Inspection(
        case,
        image.shape,
        len(image.channels),
        tuple(channel.name for channel in image.channels),
        str(image.array.dtype),
        values,
        counts,
        pieces_of(codes, found),
        len(values) == 1 and not (case.objects or case.truth_classes) and is_interpolated(codes, found),
        truth.dtype,
        int(np.count_nonzero(values > 0)) if case.objects else 0,
        truth.overlaps,
        fingerprint_of(image),
        digest(upright(mask, truth.image.grid)),
        _intensity_statistics(image.array, float(1 - counts.max() / counts.sum())),
        truth.verdict,
        truth.off,
        volume_facts(image, codes != found[counts.argmax()]) if image.ndim == 3 else None,
    )
    return look, mask


def _intensity_statistics(array: Array, foreground: float) -> tuple[float, ...]:
    """Brightness, contrast, color, foreground and size, for choosing samples that differ; of evenly taken pixels."""
    values = sample(array).astype(np.float32)
    low, middle, high = (float(v) for v in np.percentile(values, (5, 50, 99)))
    color = float((values.max(axis=0) - values.min(axis=0)).mean()) if len(values) > 1 else 0.0
    scale = max(abs(low), abs(high), 1e-6)
    size = float(np.log(np.prod(array.shape[1:])))
    return middle / scale, (high - low) / scale, 3 * color / scale, np.log1p(scale), float(foreground), size


def fatal(inspections: Sequence[Inspection], *, alone: bool = False, use: Sequence[str | int] = ()) -> list[Problem]:
    """What training cannot go on with, and what is to be known of channels.

    `alone`: nothing is to be held out, so that one case is enough. `use`: which channels alone are used.
    """
    if not inspections:
        return [Problem("no case can be used: no image with a readable mask of its size", (), "fatal")]
    found = []
    if len(inspections) == 1 and not alone and not _is_volume(inspections[0]):
        found.append(
            Problem("there is one case only: nothing is left to validate with", (inspections[0].case.name,), "fatal")
        )
    axes = Counter(len(look.shape) for look in inspections)
    if len(axes) > 1:
        names = tuple(look.case.name for look in inspections if len(look.shape) != axes.most_common(1)[0][0])
        found.append(Problem("2D images and volumes are mixed", names, "fatal"))
    if use:
        return found + _used_channels(inspections, use)
    return found + _mixed_channels(inspections) + _named_channels(inspections)


def _is_volume(look: Inspection) -> bool:
    """Whether there are several planes, the last of which can be held out."""
    return len(look.shape) == 3 and look.shape[0] > 1


def _used_channels(inspections: Sequence[Inspection], use: Sequence[str | int]) -> list[Problem]:
    """Which channels are used of those that there are; that images lack one of them, or name it differently."""
    found: dict[tuple[tuple[str, ...], tuple[str, ...]], list[str]] = {}
    lacking: dict[str, list[str]] = {}
    for look in inspections:
        try:
            places = positions([Channel(name) for name in look.names], use)
        except UlnaError as error:
            lacking.setdefault(f"{error.what}. {error.hint}", []).append(look.case.name)
            continue
        found.setdefault((tuple(look.names[k] for k in places), look.names), []).append(look.case.name)
    problems = [Problem(f"data.use_channels: {what}", tuple(names), "fatal") for what, names in lacking.items()]
    mixed = len({used for used, _ in found}) > 1
    for (used, names), cases in found.items():
        guess = taken_by_number([Channel(name) for name in names], use)
        said = [f"of the channels {listed(names, 8)} are used: {listed(used, 8)}"] if used != names else []
        said += [guess] if guess else []
        severity = "warning" if used != names and (mixed or guess) else "note"
        problems += [Problem("; ".join(said), tuple(cases), severity)] if said else []
    return problems


def _named_channels(inspections: Sequence[Inspection]) -> list[Problem]:
    """That the channels of images have different names, or the same in another order: they are taken as they lie."""
    names = Counter(look.names for look in inspections if look.channels > 1)
    if len(names) < 2 or len({len(one) for one in names}) > 1:  # the latter is an error of its own
        return []
    usual = names.most_common(1)[0][0]
    odd = tuple(look.case.name for look in inspections if look.channels > 1 and look.names != usual)
    shown = "; ".join(f"{', '.join(one)} in {plural(count, 'image')}" for one, count in names.most_common(3))
    what = (
        f"channels are named differently, and are taken in the order in which they lie: {shown}; data.use_channels "
        "takes them by name"
    )
    return [Problem(what, odd)]


def _mixed_channels(inspections: Sequence[Inspection]) -> list[Problem]:
    """That images have different channels: gray beside color can be made color, nothing else can."""
    counts = Counter(look.channels for look in inspections)
    if len(counts) < 2:
        return []
    usual = counts.most_common(1)[0][0]
    odd = tuple(look.case.name for look in inspections if look.channels != usual)
    shown = ", ".join(f"{channels} in {count}" for channels, count in counts.most_common())
    what = f"images have different numbers of channels: {shown}"
    if set(counts) == {1, 3} and all(look.color for look in inspections if look.channels == 3):
        return [Problem(f"{what}; the gray ones are repeated to red, green and blue", odd)]
    fix = "Convert them to the same channels, or name those of one kind with --cases"
    return [Problem(f"{what}, which do not go together. {fix}", odd, "fatal")]


def failures(failed: Sequence[Failure]) -> list[Problem]:
    """The cases that cannot be used, one problem a kind; to leave some out is for the user to decide."""
    kinds = Counter(failure.kind for failure in failed)
    return [
        Problem(
            f"{kind}: {plural(count, 'case')}. Fix or remove them, or name the others with --cases",
            tuple(f.why for f in failed if f.kind == kind),
            "fatal",
        )
        for kind, count in kinds.items()
    ]


def warnings(inspections: Sequence[Inspection]) -> list[Problem]:
    """What deserves a look: objects that overlap, images without contrast, mixed types."""
    found = []
    found += _overlaps(inspections, nested=False)
    found += _lost_objects(inspections)
    flat = tuple(look.case.name for look in inspections if not look.print.digest)
    if flat:
        found.append(Problem(f"one value only is in {plural(len(flat), 'image')}", flat))
    types = Counter(look.dtype for look in inspections)
    if len(types) > 1:
        usual = types.most_common(1)[0][0]
        odd = tuple(look.case.name for look in inspections if look.dtype != usual)
        shown = ", ".join(f"{value} in {count}" for value, count in types.most_common())
        found.append(Problem(f"images have different types of values: {shown}", odd))
    if len(inspections) == 1 and _is_volume(inspections[0]):
        what = "there is one volume only: planes of it that are held out resemble those that are learned"
        found.append(Problem(f"{what}; scores are optimistically biased"))
    if 1 < len(inspections) < FEW:
        found.append(Problem(f"{len(inspections)} cases are few: scores will hardly say anything"))
    return found


def _lost_objects(inspections: Sequence[Inspection]) -> list[Problem]:
    """The problem that files of one object each show none, if there are any."""
    cases = [look for look in inspections if look.case.objects]
    lost = [(look.case.name, stated_objects(look.case) - look.objects) for look in cases]
    if any(is_outline(look.case.truth[0]) for look in cases):
        where = tuple(f"{name}: {plural(count, 'outline')}" for name, count in lost if count)
        total = plural(sum(count for _, count in lost), "outline shows", "outlines show")
        what = f"{total} no pixel: outside the image, too small, or covered by other objects"
        return [Problem(what, where)] if where else []
    if any(look.case.numbered for look in cases):
        where = tuple(f"{name}: {plural(count, 'object')}" for name, count in lost if count)
        total = plural(sum(count for _, count in lost), "numbered object is", "numbered objects are")
        return [Problem(f"{total} covered by other objects", where)] if where else []
    where = tuple(f"{name}: {plural(count, 'file')}" for name, count in lost if count)
    if not where:
        return []
    total = plural(sum(count for _, count in lost), "file of one object shows", "files of one object show")
    return [Problem(f"{total} nothing: empty, or covered by other objects", where)]


def _unsegmented(inspections: Sequence[Inspection]) -> list[Problem]:
    """The note that objects have a marker and no segmentation, and what becomes of the pixels around them."""
    missing = [(look.case.name, unsegmented_objects(look.case)) for look in inspections]
    where = tuple(f"{name}: {plural(count, 'object')}" for name, count in missing if count)
    if not where:
        return []
    total = plural(sum(count for _, count in missing), "object has", "objects have")
    what = (
        f"{total} a marker (TRA) and no segmentation, in {plural(len(where), 'image')}: the pixels around the marker, "
        "as far as segmented objects reach from theirs, are taken for not annotated"
    )
    return [Problem(what, where, "note")]


def _overlaps(inspections: Sequence[Inspection], *, nested: bool) -> list[Problem]:
    """Which files of truth overlap, in how many images and pixels, and which of two keeps the pixels."""
    found: dict[tuple[str, str], list[tuple[str, int, int]]] = defaultdict(list)
    for look in inspections:
        for overlap in look.overlaps:
            if overlap.nested == nested:
                found[overlap.first, overlap.second].append((look.case.name, overlap.pixels, overlap.objects))
    problems = []
    for (first, second), places in found.items():
        images, pixels = plural(len(places), "image"), plural(sum(count for _, count, _ in places), "pixel")
        if nested:
            what = f"'{second}' lies within '{first}' in {images} ({pixels} in all) and is painted on top of it"
            if any(look.case.objects for look in inspections):
                what += f": objects of '{first}' have holes there"
        elif first == second and any(look.case.objects for look in inspections):
            drawn = any(is_outline(look.case.truth[0]) for look in inspections if look.case.objects)
            keeps = "the later outline" if drawn else "the first file"
            of_class = f" of '{first}'" if first else ""
            losing = plural(sum(objects for *_, objects in places), "object")
            lost = f", taken from {losing}" if not drawn else ""
            what = f"objects{of_class} overlap in {images} ({pixels} in all{lost}); {keeps} keeps them"
        elif first:
            what = f"'{first}' and '{second}' overlap in {images} ({pixels} in all); the smaller one keeps them"
        else:
            what = f"masks that are united overlap in {images} ({pixels} in all)"
        where = tuple(f"{name}: {plural(count, 'pixel')}" for name, count, _ in places)
        problems.append(Problem(what, where, "note" if nested else "warning"))
    return problems


def notes(inspections: Sequence[Inspection]) -> list[Problem]:
    """What is worth knowing and no fault: classes within others, images of many sizes."""
    nested = [*_overlaps(inspections, nested=True), *_unsegmented(inspections)]
    sizes = Counter(look.shape for look in inspections)
    if len(sizes) < 2:
        return nested
    named = listed([f"{size(shape)} ({count})" for shape, count in sizes.most_common()], 4)
    return [*nested, Problem(f"images have {len(sizes)} sizes: {named}", (), "note")]

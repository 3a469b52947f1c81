"""What the values in masks mean: found out from the masks, or taken from the configuration."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain, repeat

from ulna.config import DataConfig
from ulna.errors import UlnaError
from ulna.image import Array
from ulna.labels import readings
from ulna.labels.background import doubts as background_doubts
from ulna.labels.background import find_background, surrounds
from ulna.labels.classes import Classes
from ulna.labels.doubt import Doubt
from ulna.labels.evidence import Evidence, evidence
from ulna.labels.folding import MANY, Folded, fold, fold_colors, unclear
from ulna.labels.ignored import LARGEST, Ignored, find_ignored, outlines
from ulna.labels.packed import MAX_COLORS
from ulna.labels.regions import with_regions, with_stated_values
from ulna.labels.statistics import MaskStatistics
from ulna.labels.values import Kind, Value, check, shown, span
from ulna.text import listed, plural

SURE = 0.95
"""Certainty below which both readings are shown."""

MUCH_IGNORED = 0.7  # certainty that a value is not annotated that covers more than half of the pixels
MAX_SHOWN = 12  # values up to which a reading that makes each a class is worth showing


@dataclass(frozen=True)
class Inference:
    """What mask values mean, how certain that is, the next best reading, and what is doubtful.

    `certainty` is the probability of the reading as it is calibrated on simulated masks; 1 where nothing else comes
    into question.
    """

    classes: Classes
    certainty: float = 1.0
    runner_up: Classes | None = None
    doubts: tuple[Doubt, ...] = ()


def infer(masks: Iterable[Array], config: DataConfig, *, objects: bool = False, names: Iterable[str] = ()) -> Classes:
    """What the values of masks mean: the classes of `interpret`, without its doubts."""
    return interpret(masks, config, objects=objects, names=names).classes


def interpret(
    masks: Iterable[Array],
    config: DataConfig,
    *,
    objects: bool = False,
    wanted: bool = False,
    names: Iterable[str] = (),
) -> Inference:
    """Find out what the values of masks mean, and how certain that is.

    What `config` sets (`values`, `classes`, `ignore`) is taken as it is. With `regions`, classes are what these tell
    apart.

    Parameters
    ----------
    masks
        (C, *spatial) each, as they were read.
    config
        What is known of them; where two readings come into question, the number of `classes` decides.
    objects
        The masks are known to number their objects.
    wanted
        Objects are to be learned, which speaks for masks that number them.
    names
        A name for each mask, for messages.

    Raises
    ------
    UlnaError
        If the masks are all empty or their values look like no mask, and for one that cannot be a mask.
    """
    found = _interpreted(masks, with_stated_values(config), objects=objects, wanted=wanted, names=names)
    if not config.regions:
        return found
    return replace(found, classes=with_regions(found.classes, config.regions, named=bool(config.classes)))


def _interpreted(
    masks: Iterable[Array], config: DataConfig, *, objects: bool, wanted: bool, names: Iterable[str]
) -> Inference:
    """The reading of the masks, whatever regions are made of its classes."""
    if config.values:
        return Inference(readings.configured(config))
    seen = _statistics(masks, names)
    ignored = None if config.ignore else find_ignored(seen)
    codes = _set_to_ignore(seen, config) if config.ignore else {ignored.code} if ignored else set()
    kind: Kind = "colors" if seen.colored else "classes"
    labeled = seen.without(codes)
    found = _named(_read(labeled, objects=objects, wanted=wanted), config)
    unsure = [*background_doubts(labeled, found.classes, kind), *_coded_doubts(labeled, found.classes)]
    certainty = min((found.certainty, *(doubt.sure for doubt in unsure)))
    found = replace(found, certainty=certainty, doubts=(*found.doubts, *unsure))
    if config.ignore or codes:
        values = config.ignore or tuple(_value(code, kind) for code in codes)
        found = _with_ignored(found, values, ignored, much=2 * labeled.pixels < seen.pixels)
    return replace(found, doubts=(*found.doubts, *_outline_doubts(seen, codes, found.classes, kind)))


def _statistics(masks: Iterable[Array], names: Iterable[str]) -> MaskStatistics:
    seen = MaskStatistics()
    for mask, name in zip(masks, chain(names, repeat(None)), strict=False):
        try:
            seen.add(mask)
        except UlnaError as error:
            raise UlnaError(error.what, where=name, hint=error.hint) from None
    if not seen.sets:
        raise UlnaError("there are no masks to learn the classes from")
    return seen


def _read(seen: MaskStatistics, *, objects: bool, wanted: bool) -> list[Inference]:
    """The readings that come into question, the most probable first."""
    background = find_background(seen)
    foreground = sorted(code for code in seen.values if code != background)
    if not foreground:
        kind: Kind = "colors" if seen.colored else "classes"
        raise UlnaError(
            f"all {len(seen.sets)} masks hold nothing but {shown(background, kind)}: "
            "there is nothing to learn from them",
            hint="Are these the masks, and were they saved as they should be?",
        )
    if seen.channels:
        classes, shared = readings.by_channel(seen.values)
        what = f"Channels overlap in {shared:.2%} of the pixels, which are given to the smallest class there."
        return [Inference(classes, doubts=(Doubt(what, "", 0.9),) if shared else ())]
    if objects:
        return [Inference(readings.instances(seen))]
    read = _colors if seen.colored else _numbers
    return read(seen, background, foreground, wanted=wanted)


def _numbers(seen: MaskStatistics, background: int, foreground: list[int], *, wanted: bool) -> list[Inference]:
    mixed = foreground == [1, 255] and not any({1, 255} <= found for found in seen.sets)
    if len(foreground) == 1 or mixed:
        return [Inference(readings.binary(background, foreground))]
    folded = fold(seen.values)
    if folded and (folded.smooth or len(folded.true) == 2):
        return _folded(seen, folded, background, foreground)
    own = background if surrounds(seen, background) else 0
    found = evidence(seen.with_background(own), wanted=wanted)
    objects = readings.instances(seen, own)
    if found.probability <= 0.5:
        _refuse_unclear(seen, foreground)
        classes = _folded(seen, folded, background, foreground) if folded else [_several(background, foreground)]
    elif len(foreground) <= MAX_COLORS:
        classes = [_several(background, foreground)]
    else:
        return [Inference(objects, found.probability)]
    return _ranked(found, objects, classes)


def _colors(seen: MaskStatistics, background: int, foreground: list[int], *, wanted: bool) -> list[Inference]:
    if len(foreground) == 1:
        return [Inference(readings.several((background, *foreground), "colors"))]
    found = evidence(seen.with_background(background), wanted=wanted)
    probability = found.probability if surrounds(seen, background) or not background else 0.0
    objects = readings.colored_instances(background)
    if probability > 0.5 and len(foreground) > MAX_COLORS:
        return [Inference(objects, probability)]
    folded = fold_colors(seen.values) if probability <= 0.5 else None
    if folded is None and len(foreground) > MAX_COLORS:
        raise UlnaError(
            f"the masks hold {len(foreground) + 1:,} different colors, as photographs do",
            hint="Are these masks? If they are, save them without loss (PNG or TIFF), one color a class.",
        )
    if folded:
        classes = _folded(seen, folded, background, foreground)
    else:
        classes = [Inference(readings.several((background, *foreground), "colors"))]
    return _ranked(found, objects, classes) if probability else classes


def _ranked(found: Evidence, objects: Classes, classes: list[Inference]) -> list[Inference]:
    """Objects and classes, the more probable first."""
    probability, reasons, best = found.probability, found.reasons, classes[0]
    if probability > 0.5:
        what = f"Masks seem to number objects ({probability:.0%} sure: {reasons}). If each value is a class, set:"
        return [Inference(objects, probability, best.classes, (Doubt(what, "", probability),)), *classes]
    what = f"Mask values seem to be classes ({1 - probability:.0%} sure: {reasons}). If they number objects, set:"
    doubt = Doubt(what, "", 1 - probability)
    own = replace(best, certainty=min(best.certainty, 1 - probability), doubts=(*best.doubts, doubt))
    own = own if own.runner_up else replace(own, runner_up=objects)
    return [own, Inference(objects, probability, best.classes), *classes[1:]]


def _several(background: int, foreground: Sequence[int]) -> Inference:
    return Inference(readings.several((background, *foreground)))


def _folded(seen: MaskStatistics, folded: Folded, background: int, foreground: Sequence[int]) -> list[Inference]:
    """The reading with other values folded to the true ones, and the one where each is a class."""
    kind: Kind = "colors" if seen.colored else "classes"
    if background not in folded.true:
        background = 0 if 0 in folded.true else folded.true[0]
    true = [code for code in folded.true if code != background]
    plain = (
        readings.binary(background, true)
        if len(true) == 1 and kind == "classes"
        else readings.several((background, *true), kind)
    )
    classes = readings.folded(plain, folded, background)
    others = [shown(code, kind) for code in folded.others]
    where = f"{folded.share:.2%} of the pixels, in up to {plural(folded.masks, 'mask')}"
    values = f"{plural(len(others), 'value')} ({listed(others, 8)})"
    if folded.smooth:
        what = f"Masks were saved as JPEG or resized smoothly: {values}, {where}, are taken for the nearest of "
        what += f"{listed([shown(code, kind) for code in folded.true], 8)}. "
        if len(true) > 1:
            what += "Along edges between two classes that may give a third, whose value lies between them. "
        if not folded.certain:
            what += "There may be more classes that are no longer seen. "
        what += "Better save masks without loss (PNG, TIFF) and resize them by nearest neighbor."
    else:
        what = f"Masks hold stray values: {values}, {where}, are taken for the nearest of the others."
    if folded.smooth and len(foreground) > MAX_SHOWN:
        return [Inference(classes, 0.98 if folded.certain else 0.75, None, (Doubt(what, "", 0.75),))]
    every = readings.several((background, *(code for code in foreground if code != background)), kind)
    what += " If each of them is a class of its own, set:"
    certainty = 0.97 if folded.certain else 0.75
    doubt = Doubt(what, every.yaml(), min(certainty, 0.9))
    return [Inference(classes, certainty, every, (doubt,)), Inference(every, 1 - certainty, classes)]


def _refuse_unclear(seen: MaskStatistics, foreground: Sequence[int]) -> None:
    """Raise UlnaError for more values than classes have, or many that fill no areas, as noise does."""
    if len(foreground) > MAX_COLORS or len(unclear(seen.values)) >= MANY:
        hint = "Are these masks? If they are, save them without loss (PNG, TIFF), or set data.values in the "
        hint += "configuration ('0..127' is a range)."
        full = next((most for most in LARGEST if most - 1 <= foreground[-1] <= most), 0)
        if full:
            hint += f" If they number objects, numbers beyond {full:,} began again: save them with 32 bits."
        raise UlnaError(
            f"the masks hold {len(foreground) + 1:,} different values ({listed(foreground, 8)}): neither a few classes "
            "nor numbers of objects",
            hint=hint,
        )


def _named(found: list[Inference], config: DataConfig) -> Inference:
    """The first reading, or the first that has as many classes as the configuration names; with these names."""
    names = config.classes
    best = found[0]
    if names:
        fitting = [one for one in found if len(one.classes.names) == len(names)]
        if not fitting:
            what = (
                f"data.classes names {plural(len(names), 'class', 'classes')}, the masks hold {len(best.classes.names)}"
            )
            hint = best.classes.sentence.format(*best.classes.names)
            raise UlnaError(f"{what} with the background", hint=hint)
        best = fitting[0]
        if len({len(one.classes.names) for one in found}) == len(found) > 1:  # the number of names has decided
            best = replace(best, certainty=1.0, runner_up=None, doubts=())
    named = replace(best.classes, names=names or best.classes.names)
    named = replace(named, sentence=named.sentence.format(*named.names))
    other = best.runner_up
    other = replace(other, sentence=other.sentence.format(*other.names)) if other else None
    doubts = [
        replace(doubt, yaml=other.yaml()) if other and doubt.what.endswith("set:") and not doubt.yaml else doubt
        for doubt in best.doubts
        if doubt.sure < SURE
    ]
    return replace(best, classes=named, runner_up=other, doubts=tuple(doubts))


def _set_to_ignore(seen: MaskStatistics, config: DataConfig) -> set[int]:
    check((), config.ignore)
    spans = [span(value) for value in config.ignore]
    return {code for code in seen.values if any(low <= code <= high for low, high in spans)}


def _value(code: int, kind: Kind) -> Value:
    return shown(code, kind) if kind == "colors" else code


def _with_ignored(found: Inference, values: tuple[Value, ...], ignored: Ignored | None, *, much: bool) -> Inference:
    """The reading, with values that mean "not annotated"; where they cover `much`, they may be the background."""
    if ignored and much:
        ignored = replace(ignored, certainty=min(ignored.certainty, MUCH_IGNORED))
    words = listed(values, 8)
    sure = f" ({ignored.certainty:.0%} sure: {ignored.reason})" if ignored else ""
    classes = replace(
        found.classes, ignore=values, sentence=f"{found.classes.sentence} {words} is not annotated{sure}."
    )
    if ignored is None:
        return replace(found, classes=classes)
    rest = found.classes.values[1:] if found.classes.numbers_objects else found.classes.values
    groups = (values, *rest) if much else (*found.classes.values, values)
    added = [f"class {index} ({group[-1]})" for index, group in enumerate(groups) if index]
    names = ("background", *added) if much else (*found.classes.names, added[-1])
    names = found.classes.names if len(names) == len(found.classes.names) else names
    other = replace(found.classes, names=names, values=groups)
    what = f"{words} is taken for 'not annotated'{sure}: it is in no loss and no score. If it is "
    doubt = Doubt(f"{what}{'the background' if much else 'a class'}, set:", other.yaml(), ignored.certainty)
    certainty = min(found.certainty, ignored.certainty)
    return replace(found, classes=classes, certainty=certainty, doubts=(*found.doubts, doubt))


def _coded_doubts(seen: MaskStatistics, classes: Classes) -> list[Doubt]:
    """The doubt that numbers say class and object both."""
    other = None if seen.colored or seen.channels else readings.coded(sorted(seen.values), find_background(seen))
    if other is None or classes.kind == "binary":
        return []
    what = "Values from 1000 on look like 1000 times a class plus the number of an object, as those of Cityscapes are. "
    return [Doubt(f"{what}If so, for its classes set:", other.yaml(), 0.6)]


def _outline_doubts(seen: MaskStatistics, ignored: set[int], classes: Classes, kind: Kind) -> list[Doubt]:
    """One for each value that may be an outline that nobody annotated."""
    if classes.numbers_objects or len(classes.names) < 3:
        return []
    found = [_value(code, kind) for code in outlines(seen) if code not in ignored]
    kept = [value for value in found if any(value in group for group in classes.values)]
    return [
        Doubt(
            f"{value} occurs in thin bands between other values only. If it means 'not annotated', set:",
            f"data:\n  ignore: [{value if isinstance(value, int) else chr(34) + value + chr(34)}]",
            0.8,
        )
        for value in kept
    ]

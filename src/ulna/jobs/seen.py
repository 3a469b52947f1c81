"""Was it trained on? The images that are scored are compared with those that the model has seen, by their pixels."""

from __future__ import annotations

import base64
import binascii
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ulna import runfolder as runs
from ulna.dataset import Case, Progress, load_image, plain_name
from ulna.errors import UlnaError
from ulna.folds import holds_folds
from ulna.formats import atomic_write
from ulna.jobs.check import Check
from ulna.jobs.grouping import fingerprints
from ulna.jobs.predictors import Predictor
from ulna.leaks.fingerprints import Fingerprint, fingerprint_of
from ulna.leaks.seen import FILE, TRAINING, VALIDATION, Recognized, Seen, seen_in
from ulna.text import listed


def write_seen(run: Path, checked: Check, sides: Sequence[Sequence[Case]]) -> None:
    """Write the fingerprints of the cases for training and for validation into a run, from where models take them."""
    prints = {case.name: one for case, one in zip(checked.dataset.cases, checked.prints, strict=True)}
    # the slabs that a single volume was split into have not been looked at before
    training, validation = (
        [prints.get(case.name) or fingerprint_of(load_image(case)) for case in side] for side in sides
    )
    with atomic_write(run / FILE) as fresh:
        fresh.write_bytes(Seen.of(training, validation).to_bytes())


def read_seen(text: str) -> Seen | None:
    """The fingerprints that a model holds as base64; None where it holds none. Raises UlnaError for anything else."""
    if not text:
        return None
    try:
        return Seen.from_bytes(base64.b64decode(text, validate=True))
    except binascii.Error as error:
        raise UlnaError(f"the fingerprints of the training images cannot be read ({error})") from None


def recognized(text: str, prints: Sequence[Fingerprint]) -> list[int]:
    """Which images a model was trained on, by the fingerprints that it holds as base64."""
    seen = read_seen(text)
    return [one.index for one in seen.recognize(prints) if one.part == TRAINING] if seen else []


def seen_notes(
    run: str | Path | Predictor,
    model: Predictor | None,
    cases: Sequence[Case],
    prints: Sequence[Fingerprint],
    *,
    progress: Progress,
) -> tuple[str, ...]:
    """What is to be said of scores on images that a run or a model has seen.

    By the pixels, where the model keeps fingerprints; else by the names alone. `prints` are those of the cases, taken
    here where they are needed and none are given.
    """
    seen = _seen_by(run, model)
    if seen is None or not all(case.images for case in cases):
        return _by_name(run, cases)
    notes = _by_pixels(seen, cases, prints or fingerprints(cases, progress))
    if notes and isinstance(run, str | Path) and holds_folds(Path(run)):
        notes += (f"How each image scored in the fold that held it out is in {Path(run) / 'scores'}.",)
    return notes


def _by_pixels(seen: Seen, cases: Sequence[Case], prints: Sequence[Fingerprint]) -> tuple[str, ...]:
    """Which images are known, with names and counts."""
    found = seen.recognize(prints)
    what = {
        TRAINING: "are images that the model was trained on",
        VALIDATION: "are validation images of its training, which may have chosen its weights or settings",
    }
    by_part = {part: [one for one in found if one.part == part] for part in what}
    return tuple(_note(by_part[part], cases, what[part]) for part in what if by_part[part])


def _note(found: Sequence[Recognized], cases: Sequence[Case], what: str) -> str:
    kinds = ", ".join(f"{kind} {count}" for kind, count in Counter(one.kind for one in found).most_common())
    names = listed([cases[one.index].name for one in found], 5)
    return (
        f"{len(found)} of these {len(cases)} images {what}, as their pixels say ({kinds}): {names}. The scores are "
        "optimistically biased: name other images with --cases, or leave these out with --except."
    )


def _seen_by(run: str | Path | Predictor, model: Predictor | None) -> Seen | None:
    """The fingerprints of the images that a run or a model has seen; None where none are kept."""
    kept = [str(getattr(getattr(one, "saved", None), "seen", "")) for one in (model, run)]
    text = next(filter(None, kept), "")
    if not text and isinstance(run, str | Path):
        text = seen_in(Path(run).expanduser())
    return read_seen(text)


def _by_name(run: str | Path | Predictor, cases: Sequence[Case]) -> tuple[str, ...]:
    """What is to be said where names alone can tell that a run has learned from cases: it holds no fingerprints."""
    if not isinstance(run, str | Path) or not all((Path(run) / name).is_file() for name in (runs.WORDS, *runs.LISTS)):
        return ()
    learned = {plain_name(name) for name in runs.names(Path(run))[0]}
    known = sum(plain_name(case.name) in learned for case in cases)
    if not known:
        return ()
    return (
        f"{known} of these {len(cases)} images have names of images that the run learned from: if they are the "
        "same, the scores are optimistically biased. Name others with --cases.",
    )

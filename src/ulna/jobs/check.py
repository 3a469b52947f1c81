"""`check`: everything about a data set at once, the worst first: what it holds, what is wrong, what leaks."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Group
from rich.markup import escape
from rich.table import Table

from ulna.caselist import Names
from ulna.classfiles import stated_classes
from ulna.config import Config
from ulna.console import Printed
from ulna.dataset import Case, Dataset, Problem, Progress, load_image, quiet
from ulna.errors import UlnaError
from ulna.figures.orthogonal import Orthogonal
from ulna.figures.samples import Sample, samples_picture, spread
from ulna.formats import atomic_write
from ulna.image import Array
from ulna.jobs import inspection
from ulna.jobs.grouping import joined_by, joined_picture, leak_problems, table_of_groups, with_groups
from ulna.jobs.inspection import Failure, Inspection, inspect
from ulna.jobs.label_checks import TO_SET, class_pixels, doubts, lossy_files, missing_in_training, shares
from ulna.jobs.object_checks import counts, object_problems
from ulna.jobs.volume_checks import volume_problems, volume_rows
from ulna.labels.classes import Classes
from ulna.labels.inference import Inference, interpret
from ulna.layouts import Patterns, read_dataset
from ulna.layouts.parts import across_parts
from ulna.leaks import DUPLICATE, Fingerprint, Leaks, group
from ulna.paths import expand_home
from ulna.preset import settings
from ulna.runfolder import WORDS
from ulna.tasks import wants_objects
from ulna.text import listed, plural, size
from ulna.truth import load_truth

SAMPLES = 8
NAMED = 3  # names that are shown a problem; check.json has all
WEIGHTS = ("fatal", "warning", "note")
_STYLES = {"fatal": "bold red", "warning": "yellow", "note": "dim"}


@dataclass(frozen=True)
class Check(Printed):
    """What was found in a data set; it prints itself.

    Parameters
    ----------
    dataset
        The cases that can be used, each in its final group: the layout's groups and those of leaks, united.
    inferred
        What the values of the masks mean; None where that could not be found out.
    problems
        What is wrong, the worst first.
    facts
        The table of what was found, in words.
    share
        Each class's share of the annotated pixels.
    leaks
        Which images are near-duplicates, adjacent or overlapping tiles.
    samples
        The names of cases that stand for all, for the picture.
    folder
        Where the record was written.
    inference
        How certain the reading of the masks is, and what the next best one would be.
    prints
        The fingerprints of the cases, in order.
    """

    dataset: Dataset
    inferred: Classes | None
    problems: tuple[Problem, ...]
    facts: dict[str, str]
    share: tuple[float, ...]
    leaks: Leaks
    samples: tuple[str, ...]
    folder: Path | None = None
    inference: Inference | None = None
    prints: tuple[Fingerprint, ...] = ()

    @property
    def fatal(self) -> bool:
        """Whether training cannot go on."""
        return any(problem.severity == "fatal" for problem in self.problems)

    @property
    def classes(self) -> Classes:
        """What the values of the masks mean. Raises UlnaError where that could not be found out."""
        if self.inferred is None:
            raise UlnaError(
                "what the mask values mean could not be inferred", hint=self.problems[0].what if self.problems else ""
            )
        return self.inferred

    @property
    def _pictured(self) -> bool:
        return self.inferred is not None and bool(self.samples)

    def as_dict(self) -> dict[str, Any]:
        """What `check.json` holds.

        Returns
        -------
        dict
            Sentences, facts, classes, problems, leaks and the group of each case.
        """
        told = self.inferred
        classes = (
            {
                "sentence": told.sentence,
                "kind": told.kind,
                "names": list(told.names),
                "values": list(told.values),
                "ignore": list(told.ignore),
                **({"regions": {name: list(inside) for name, inside in told.regions}} if told.regions else {}),
                "certainty": self.inference.certainty if self.inference else 1.0,
                "runner_up": self.inference.runner_up.sentence if self.inference and self.inference.runner_up else "",
            }
            if told
            else {}
        )
        kinds = [(self.leaks.names[p.first], self.leaks.names[p.second], p) for p in self.leaks.pairs]
        return {
            "sentence": self.dataset.sentence,
            **{name: fact for name, fact in self.facts.items() if name != "groups"},
            "grouping": self.facts.get("groups", ""),
            "classes": classes | ({"share": list(self.share)} if told else {}),
            "problems": [{"severity": p.severity, "what": p.what, "where": list(p.where)} for p in self.problems],
            "leaks": [{"first": a, "second": b, "kind": p.kind, "strength": round(p.strength, 3)} for a, b, p in kinds],
            "groups": {case.name: case.group for case in self.dataset.cases},
        }

    def save(self, folder: Path) -> Check:
        """Write `check.json` and the pictures `samples.png` and, of what was joined, `joined.png`, each atomically.

        Parameters
        ----------
        folder
            Where to.

        Returns
        -------
        Check
            The record that says where.

        Raises
        ------
        UlnaError
            Where the folder cannot be written.
        """
        with atomic_write(folder / "check.json") as beside:
            # A file name that is no proper UTF-8 is written as JSON's own escapes.
            words = json.dumps(self.as_dict(), indent=1, ensure_ascii=False)
            beside.write_text(words, "utf-8", "backslashreplace")
        if self.inferred is not None and self._pictured:
            chosen = [case for case in self.dataset.cases if case.name in self.samples]
            chosen.sort(key=lambda case: self.samples.index(case.name))
            shown = [_sample(case, self.inferred) for case in chosen]
            samples_picture(folder / "samples.png", shown, self.inferred.names)
        if self.leaks.pairs:
            joined_picture(folder / "joined.png", self.dataset.cases, self.leaks)
        return replace(self, folder=folder)

    def __repr__(self) -> str:
        count = Counter(problem.severity for problem in self.problems)
        found = ", ".join(f"{count[weight]} {weight}" for weight in WEIGHTS if count[weight]) or "no problem"
        groups = len({case.group for case in self.dataset.cases})
        return f"<Check: {plural(len(self.dataset.cases), 'case')} in {plural(groups, 'group')}; {found}>"

    def __rich__(self) -> Group:
        """What was found, in a table, and under it what is wrong."""
        table = Table(show_header=False, box=None, pad_edge=False)
        table.add_column(style="bold", no_wrap=True)
        table.add_column()
        for name, fact in self.facts.items():
            table.add_row(name, escape(fact))
        sentences = [self.dataset.sentence] + ([self.inferred.sentence] if self.inferred else [])
        lines: list[Any] = [escape(_ended(sentence)) for sentence in sentences if sentence]
        lines += [table, ""]
        groups = table_of_groups(self.dataset.cases)
        if groups is not None:
            lines += [groups, ""]
        if not self.problems:
            lines.append("Nothing was found wrong.")
        for problem in self.problems:
            style = _STYLES[problem.severity]
            where = _shortened(problem.where)
            lines.append(f"[{style}]{problem.severity}[/]: {escape(problem.what)}")
            if where:
                lines.append(f"  [dim]{escape(where)}[/]")
        if self.inferred is not None:
            lines += ["", f"[dim]{escape(TO_SET)}[/]", escape(self.inferred.yaml())]
        if self.folder is None:
            lines.append("[dim]All names in a file, and a picture of samples: add --out FOLDER.[/]")
        else:
            picture = ", samples.png" if self._pictured else ""
            if self.leaks.pairs:
                picture += ", joined.png with what was joined (data.leaks=false joins nothing but equal pixels)"
            lines.append(f"Written to {escape(str(self.folder))}: check.json with all names{picture}")
        return Group(*lines)


@expand_home
def check(
    data: str | Path | Dataset,
    *,
    cases: Names | None = None,
    except_: Names | None = None,
    out: str | Path | None = None,
    config: str | Path | Config | None = None,
    changes: dict[str, Any] | None = None,
    progress: Progress = quiet,
) -> Check:
    """Look at a data set of any known layout: everything that is wrong at once, and which cases leak.

    Every file is read once, up to 100 masks of one class twice. Cases that cannot be read, or whose mask has another
    size, are fatal problems; all are named.

    Parameters
    ----------
    data
        A folder, archive or file of any known layout; or a `Dataset` that your own code has made.
    cases, except_
        Names of the cases to use, and of those to leave out, or text files with one per line; see `ulna.caselist`.
    out
        A folder for `check.json`, `samples.png` and, where something was joined, `joined.png`.
    config
        A YAML file or a `Config`: what the values of masks mean (`data.values`), which cases belong together
        (`data.groups`).
    changes
        Settings by dotted keys; they come after `config`.
    progress
        Goes through the cases and shows how far it is.

    Returns
    -------
    Check
        What was found, also what is wrong with the data.

    Raises
    ------
    UlnaError
        Where no data set is recognized, for unknown settings, and where `out` is a run.

    Examples
    --------
    >>> found = ulna.check("cells")
    >>> found.fatal, found.classes.names
    (False, ('background', 'foreground'))
    """
    wanted = settings(config=config, changes=changes)
    if out is not None and (Path(out) / WORDS).exists():
        what = "this folder holds a run, and what was found in its data"
        raise UlnaError(what, where=out, hint="Name another --out.")
    read = read_dataset(data, Patterns.of(wanted.data))
    found, how = with_groups(read, wanted.data.groups, cases, except_)
    inspections: list[Inspection] = []
    failed: list[Failure] = []
    masks = _masks(found.cases, inspections, failed, progress)
    problems = list(found.problems)
    inferred = None
    try:
        objects = bool(found.cases) and all(case.objects for case in found.cases)
        stated, asked = stated_classes(wanted.data, found.cases), wants_objects(wanted.task)
        inferred = interpret(masks, stated, objects=objects, wanted=asked)
    except UlnaError as error:
        problems.append(Problem(error.what, (error.hint,) if error.hint else (), "fatal"))
    for _ in masks:  # what inference did not need to see is checked too
        continue
    if not inspections:  # then it is no wonder that nothing could be inferred
        problems = list(found.problems)
    classes = inferred.classes if inferred else None
    pixels, strange = class_pixels(inspections, classes) if classes else (np.zeros((0, 1)), [])
    leaks = group(
        [look.print for look in inspections], [look.case.name for look in inspections], only_equal=not wanted.data.leaks
    )
    usable = joined_by([look.case for look in inspections], leaks)
    alone = wanted.data.validation == 0
    problems += [
        *inspection.fatal(inspections, alone=alone, use=wanted.data.use_channels),
        *inspection.failures(failed),
        *strange,
        *(missing_in_training(inspections, classes, pixels) if classes else ()),
        *doubts(inferred),
        *lossy_files(inspections, inferred),
        *(object_problems(inspections, inferred, wanted.data) if inferred else ()),
        *inspection.warnings(inspections),
        *volume_problems(inspections),
    ]
    problems += [
        *_unlike_masks(inspections, leaks),
        *leak_problems(usable, leaks, how),
        *across_parts(usable),
        *inspection.notes(inspections),
    ]
    problems.sort(key=lambda problem: WEIGHTS.index(problem.severity))
    annotated = pixels[:, :-1]
    total = annotated.sum(axis=0) / max(annotated.sum(), 1)
    result = Check(
        replace(found, cases=usable, problems=tuple(problems)),
        classes,
        tuple(problems),
        _facts(inspections, usable, shares(classes, pixels) | counts(inspections, classes) if classes else {}, how),
        tuple(float(part) for part in total),
        leaks,
        _chosen(inspections, annotated),
        inference=inferred,
        prints=tuple(look.print for look in inspections),
    )
    return result if out is None else result.save(Path(out))


def _masks(
    cases: Sequence[Case], inspections: list[Inspection], failed: list[Failure], progress: Progress
) -> Iterator[Array]:
    """Read all cases, remember what was seen, and pass the masks on."""
    seen = inspect(cases)
    for _ in progress(cases, "Checking"):
        one = next(seen)
        if isinstance(one, Failure):
            failed.append(one)
        else:
            inspections.append(one[0])
            yield one[1]


def _unlike_masks(inspections: Sequence[Inspection], leaks: Leaks) -> list[Problem]:
    """The problem that equal images have different masks, if there is one."""
    unlike = [
        f"{leaks.names[pair.first]} = {leaks.names[pair.second]}"
        for pair in leaks.pairs
        if pair.kind == DUPLICATE and inspections[pair.first].truth != inspections[pair.second].truth
    ]
    if not unlike:
        return []
    return [Problem(f"equal images have different masks: {plural(len(unlike), 'pair')}", tuple(unlike))]


def _facts(inspections: Sequence[Inspection], cases: Sequence[Case], shown: dict[str, str], how: str) -> dict[str, str]:
    """The table of what was found, in words."""
    if not inspections:
        return {"images": "0 with a mask that can be used"}
    parts = Counter(case.part for case in cases if case.part)
    shapes = sorted({look.shape for look in inspections}, key=lambda shape: (np.prod(shape), shape))
    facts = {
        "images": f"{len(inspections)} with masks, in {plural(len({case.group for case in cases}), 'group')}",
        "groups": how,
        "size": " to ".join(size(shape) for shape in dict.fromkeys((shapes[0], shapes[-1]))),
        "channels": _counted([look.channels for look in inspections]),
        "values": _counted([look.dtype for look in inspections]),
    }
    facts |= volume_rows(inspections)
    if parts:
        facts["ready-made split"] = ", ".join(f"{part} {count}" for part, count in parts.items())
    return facts | shown


def _counted(values: Sequence[int | str]) -> str:
    counts = Counter(values).most_common()
    if len(counts) == 1:
        return str(counts[0][0])
    return ", ".join(f"{value} ({plural(count, 'image')})" for value, count in counts)


def _chosen(inspections: Sequence[Inspection], share: Array) -> tuple[str, ...]:
    """The names of cases that stand for all; those with something in their masks, where there are enough."""
    filled = [index for index, row in enumerate(share) if row[1:].any()]
    known = filled or [index for index, row in enumerate(share) if row.any()]
    if not known:
        return ()
    features = np.array([inspections[index].intensity_statistics for index in known])
    return tuple(inspections[known[index]].case.name for index in spread(features, SAMPLES))


def _sample(case: Case, classes: Classes) -> Sample | Orthogonal:
    """What is drawn of a case; of a volume no more is kept than that."""
    image, truth = load_image(case), load_truth(case).array
    objects = truth if classes.kind == "instances" else None
    return Sample(case.name, image.array, classes.to_indices(truth), objects, image.grid).reduced(classes.names)


def _shortened(where: Sequence[str]) -> str:
    return listed([text if len(text) <= 160 else f"{text[:159]}…" for text in where], NAMED)


def _ended(sentence: str) -> str:
    return sentence if sentence.endswith((".", "!", "?")) else f"{sentence}."

"""What the parts of a file's name mean: who or what it is of, and a counter of slices, frames, tiles, eyes.

The rule: a name is cut into its fields. Counters that say so (`slice03`, `t001`, `tile_2`, `L`) are set aside. Of
what is left, the series ends with the first field that says whom it names (`P00`, `case01`, a well like `B02`) and
differs between names, else with the first field with a digit that differs. Dates, magnifications and parts of a
data set name nobody.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_COUNTER = (
    r"slices?|slc|sl|z|t|time|timepoint|tp|frames?|fr|tiles?|patch(?:es)?|crops?|fields?|fov|sites?|pos(?:ition)?s?|"
    r"views?|planes?|layers?|levels?|pages?|rows?|cols?|columns?|x|y"
)
_PERSON = r"pat|patients?|pid|sub|subj|subjects?|case|donors?|mouse|mice|rat|animals?|fish|embryos?|specimens?"
_SUBJECT = rf"{_PERSON}|samples?|volumes?|vol|stacks?|films?|movies?|videos?|vid|seq(?:uence)?s?|slides?|wsi"
_NEUTRAL = re.compile(
    r"(?:19|20)\d\d|\d+x|x\d+|ch\d+|w\d|v\d+|"
    r"(?:train(?:ing)?|val(?:id(?:ation)?)?|test(?:ing)?|folds?|batch|set|part|split)\d*",
    re.IGNORECASE,
)
_SIDE = re.compile(r"l|r|left|right|od|os", re.IGNORECASE)
_COUNTS = re.compile(rf"(?:{_COUNTER})(?:[ _-]?\d+)+", re.IGNORECASE)
_NAMES_SUBJECT = re.compile(rf"(?:{_SUBJECT})_?(?:\d+[a-z]?|[a-z])|pt?_?\d+|tcga:.*", re.IGNORECASE)
_NAMES_PERSON = re.compile(rf"(?:{_PERSON})_?(?:\d+[a-z]?|[a-z])|tcga-.*", re.IGNORECASE)
_WELL = re.compile(r"[A-P](?:0[1-9]|1\d|2[0-4])|[rR]\d+[cC]\d+")
_TCGA = re.compile(r"TCGA[-_.]([A-Z0-9]{2})[-_.]([A-Z0-9]{4})(?![A-Z0-9])", re.IGNORECASE)
_DATE = re.compile(
    r"(?<!\d)(?:19|20)\d\d([-_.]?)(?:0[1-9]|1[0-2])\1(?:0[1-9]|[12]\d|3[01])(?!\d)"
    r"(?:[-_T .]*(?:[01]\d|2[0-3])[-_.h:]?[0-5]\d[-_.m:]?[0-5]\d(?!\d))?"
)
_GLUED = re.compile(rf"([a-z]{{0,9}}\d{{1,6}})((?:{_COUNTER}|s)\d+|[LR])", re.IGNORECASE)
_GLUED_FIELD = re.compile(r"([A-P]\d{2}|r\d+c\d+)(f\d+(?:p\d+)?)", re.IGNORECASE)
_VISIT = re.compile(r"(BraTS-[A-Za-z]+-\d+)-\d{3}|(UPENN-GBM-\d+)_\d\d")
_SEPARATORS = re.compile(r"[\s_.,()\[\]+~-]+")


@dataclass(frozen=True)
class Field:
    """A part of a name.

    Parameters
    ----------
    text
        As it stands in the name.
    counter
        Whether it says that it counts slices, frames, tiles or eyes.
    subject
        Whether it says whom or what it names.
    well
        Whether it is written like the well of a plate.
    neutral
        Whether it names nobody, like a year or a magnification.
    date
        Whether it is a date, maybe with a time: of one patient there may be several.
    """

    text: str
    counter: bool = False
    subject: bool = False
    well: bool = False
    neutral: bool = False
    date: bool = False

    @property
    def distinguishes(self) -> bool:
        """Whether it may tell one patient from another."""
        return self.subject or (not self.neutral and any(character.isdigit() for character in self.text))


def individual(name: str) -> int:
    """How surely a name says of which patient or animal something is: 2 by a word, 1 by a letter such as P, 0 not.

    Examples
    --------
    >>> individual("patient_07"), individual("P07"), individual("visit2"), individual("slide3")
    (2, 1, 0, 0)
    """
    texts = [field.text for field in fields(name) if field.subject]
    if any(_NAMES_PERSON.fullmatch(text) for text in texts):
        return 2
    return int(any(re.fullmatch(r"pt?_?\d+", text, re.IGNORECASE) for text in texts))


def patient_of_visit(name: str) -> str:
    """The patient of an image whose name numbers visits as BraTS and UPENN-GBM do; "" of other names.

    Parameters
    ----------
    name
        Without folder and suffix.

    Returns
    -------
    str
        The name without the visit.

    Examples
    --------
    >>> patient_of_visit("BraTS-GLI-00005-001"), patient_of_visit("UPENN-GBM-00001_21"), patient_of_visit("P1-001")
    ('BraTS-GLI-00005', 'UPENN-GBM-00001', '')
    """
    found = _VISIT.fullmatch(name)
    return found[1] or found[2] if found else ""


def fields(stem: str) -> tuple[Field, ...]:
    """The fields of a name without folders and suffix.

    Examples
    --------
    >>> [(field.text, field.counter) for field in fields("P00_slice03")]
    [('P00', False), ('slice03', True)]
    """
    text = _DATE.sub(lambda date: f"_@{re.sub(r'[^0-9]', '', date[0])}_", _TCGA.sub(r"TCGA:\1:\2", stem))
    return tuple(_field(part) for part in _joined([part for part in _SEPARATORS.split(text) if part]))


def _joined(parts: Sequence[str]) -> Iterator[str]:
    """The parts, with words and the numbers they belong to in one (`tile`, `2`), and glued ones in two (`P1s2`)."""
    at = 0
    while at < len(parts):
        stop = at + 1
        if re.fullmatch(_COUNTER, parts[at], re.IGNORECASE):
            while stop < len(parts) and parts[stop].isdecimal():
                stop += 1
        elif re.fullmatch(f"{_SUBJECT}|pt?", parts[at], re.IGNORECASE) and stop < len(parts):
            stop += bool(re.fullmatch(r"\d+[a-z]?|[a-km-qs-z]", parts[stop], re.IGNORECASE))
        word = "_".join(parts[at:stop])
        glued = _GLUED.fullmatch(word) or _GLUED_FIELD.fullmatch(word)
        yield from glued.groups() if glued else (word,)
        at = stop


def _field(text: str) -> Field:
    if _COUNTS.fullmatch(text) or _SIDE.fullmatch(text):
        return Field(text, counter=True)
    if text.startswith("@"):
        return Field(text[1:], neutral=True, date=True)
    if _NAMES_SUBJECT.fullmatch(text):
        return Field(text.replace(":", "-"), subject=True)
    return Field(text, well=bool(_WELL.fullmatch(text)), neutral=bool(_NEUTRAL.fullmatch(text)))


def series(names: Sequence[Sequence[Field]]) -> list[str]:
    """The series that each of several names of the same number of fields without counters belongs to.

    A name that is all of its series, or in which nothing tells one series from another, is given as it is.

    Examples
    --------
    >>> series([fields("P0_slice3"), fields("P0_slice4"), fields("P1_slice3")])
    ['P0', 'P0', 'P1']
    >>> series([fields("img_001"), fields("img_002")])
    ['img_001', 'img_002']
    """
    rest = [[field for field in name if not field.counter] for name in names]
    columns = list(zip(*rest, strict=True))
    differing = [k for k, column in enumerate(columns) if len({field.text.casefold() for field in column}) > 1]
    ends = next(
        filter(
            None,
            (
                [k for k in differing if all(field.subject for field in columns[k])],
                [k for k in differing if all(field.well for field in columns[k])],
                [k for k in differing if all(field.distinguishes for field in columns[k])],
            ),
        ),
        [],
    )
    if not ends:  # nothing has a digit: what is left beside counters names the series, if there are any
        return [
            _text(short) if len(short) < len(name) else _text(name) for short, name in zip(rest, names, strict=True)
        ]
    end = ends[0]
    subject = all(field.subject for field in columns[end])
    return [
        _text(name)
        if not subject and len(name) == end + 1
        else _text([*_leading(short[:end], subject=subject), short[end]])
        for name, short in zip(names, rest, strict=True)
    ]


def _leading(before: Sequence[Field], *, subject: bool) -> list[Field]:
    """Of the fields before the one that ends the series, those that belong to it.

    A date does not, nor does a number before a patient, which counts something else: `03_P00`.
    """
    return [field for field in before if not field.date and not (subject and field.text.isdecimal())]


def _text(parts: Sequence[Field]) -> str:
    return "_".join(field.text for field in parts)

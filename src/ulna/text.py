"""Numbers, sizes and lists as people read them, for all messages and tables."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence


def plural(count: float, noun: str, nouns: str = "") -> str:
    """A number with its noun.

    Parameters
    ----------
    count
        The number; whole numbers get separators of thousands.
    noun
        The noun for one.
    nouns
        The noun for several; by default `noun` with an "s".

    Returns
    -------
    str
        Both, with a space between.

    Examples
    --------
    >>> plural(1, "case"), plural(2000, "case"), plural(2, "mask has", "masks have"), plural(0.5, "minute")
    ('1 case', '2,000 cases', '2 masks have', '0.5 minutes')
    """
    number = f"{count:,}" if isinstance(count, int) else f"{count:g}"
    return f"{number} {noun if count == 1 else nouns or noun + 's'}"


def size(shape: Sequence[int], times: str = " × ") -> str:
    """A shape in words.

    Parameters
    ----------
    shape
        The lengths of the axes.
    times
        What stands between them.

    Returns
    -------
    str
        The shape in one line.

    Examples
    --------
    >>> size((512, 640)), size((64, 64), "×")
    ('512 × 640', '64×64')
    """
    return times.join(str(int(n)) for n in shape)


def listed(names: Iterable[object], most: int = 3, *, quoted: bool = False) -> str:
    """The first few of some names, and how many more there are.

    Parameters
    ----------
    names
        What to name, in this order.
    most
        So many are named at most.
    quoted
        Whether each is put in quotation marks.

    Returns
    -------
    str
        The names with commas between them.

    Examples
    --------
    >>> listed("abcde"), listed("ab"), listed(["x"], quoted=True)
    ('a, b, c and 2 more', 'a, b', "'x'")
    """
    every = [f"'{name}'" if quoted else str(name) for name in names]
    more = f" and {len(every) - most:,} more" if len(every) > most else ""
    return ", ".join(every[:most]) + more


def enumerated(names: Iterable[object]) -> str:
    """Names as a sentence lists them.

    Parameters
    ----------
    names
        In this order.

    Returns
    -------
    str
        With commas between them, and an "and" before the last.

    Examples
    --------
    >>> enumerated("abc"), enumerated(["one"])
    ('a, b and c', 'one')
    """
    every = [str(name) for name in names]
    return " and ".join([", ".join(every[:-1]), every[-1]]) if len(every) > 1 else "".join(every)


def clock(seconds: float) -> str:
    """Seconds as a clock shows them; "–" while they are not known.

    Parameters
    ----------
    seconds
        A length of time.

    Returns
    -------
    str
        Minutes and seconds; from an hour on hours too.

    Examples
    --------
    >>> clock(42), clock(725), clock(3723), clock(math.inf)
    ('0:42', '12:05', '1:02:03', '–')
    """
    if not math.isfinite(seconds):
        return "–"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def duration(seconds: float) -> str:
    """A length of time in words.

    Parameters
    ----------
    seconds
        A length of time.

    Returns
    -------
    str
        Seconds; from two minutes on minutes and seconds, from an hour on hours and minutes.

    Examples
    --------
    >>> duration(42), duration(725), duration(7380)
    ('42 s', '12 min 5 s', '2 h 3 min')
    """
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def amount(count: float) -> str:
    """A number of bytes.

    Parameters
    ----------
    count
        How many bytes.

    Returns
    -------
    str
        In MiB, from one GiB on in GiB.

    Examples
    --------
    >>> amount(1_500_000), amount(3 << 30)
    ('1.4 MiB', '3.0 GiB')
    """
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"


def percent(share: float) -> str:
    """A share with as many digits as a rare class needs.

    Parameters
    ----------
    share
        From 0 to 1.

    Returns
    -------
    str
        Per cent.

    Examples
    --------
    >>> percent(0.25), percent(0.0004)
    ('25.0%', '0.04%')
    """
    return f"{share:.1%}" if share >= 0.001 or not share else f"{100 * share:.2g}%"

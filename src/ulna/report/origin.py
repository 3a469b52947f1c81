"""Where a run comes from: when, on what machine, from which data, with which software; and how to repeat it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from ulna.config import Config
from ulna.report.words import in_words
from ulna.runfiles import as_list, inner
from ulna.text import plural

KNOWN = (
    *("started", "ended", "resumed", "machine", "device", "versions", "data", "data_hash", "validation_hash", "seed"),
    *("command", "split", "parameters"),
)
"""What of the record stands here."""

IN_MEMORY = "arrays in memory"


def origin(record: dict[str, Any]) -> list[tuple[str, str]]:
    """When, where and from what a run was made, as names and values.

    Parameters
    ----------
    record
        What `run.json` holds.

    Returns
    -------
    list of (str, str)
        Without what the record does not say.
    """
    machine = record.get("machine")
    if isinstance(machine, dict):
        cores = machine.get("cores")
        parts = [machine.get("processor"), plural(cores, "core") if isinstance(cores, int) else ""]
        parts += [f"{machine['memory']} of memory" if machine.get("memory") else "", machine.get("system")]
        machine = ", ".join(str(part) for part in parts if part)
    rows = {
        "started": _date(record.get("started")),
        "ended": _date(record.get("ended")),
        **{f"resumed {n}": _resumed(one, record) for n, one in enumerate(as_list(record.get("resumed")), start=1)},
        "machine": in_words(machine),
        "network ran on": in_words(record.get("device")),
        "software": ", ".join(f"{name} {one}" for name, one in inner(record, "versions").items()),
        "parameters": f"{record['parameters']:,}" if isinstance(record.get("parameters"), int) else "",
        "data": in_words(record.get("data")),
        "fingerprint of the images trained on": in_words(record.get("data_hash")),
        "fingerprint of the images held out": in_words(record.get("validation_hash")),
        "seed": in_words(record.get("seed")),
    }
    return [(name, value) for name, value in rows.items() if value]


def _date(value: Any) -> str:
    """A date as it is stored, for reading: "2026-11-26 14:30:00 +01:00"."""
    date, _, time = str(value or "").partition("T")
    return f"{date} {time[:8]} {time[8:]}".strip()


def _resumed(one: Any, record: dict[str, Any]) -> str:
    """When a run went on, and what had changed since it began."""
    if not isinstance(one, dict):
        return in_words(one)
    other = [name for name in ("machine", "device", "versions") if one.get(name) != record.get(name)]
    changed = "; ".join(f"other {name}: {in_words(one.get(name))}" for name in other)
    return f"{_date(one.get('date'))}{f' ({changed})' if changed else ''}"


def repeating(record: dict[str, Any], name: str, config: Config | None, rows: Sequence[Mapping[str, str]]) -> list[str]:
    """What has to be known to repeat a run, in sentences.

    Parameters
    ----------
    record
        What `run.json` holds.
    name
        Of the run's folder.
    config
        Its configuration, where it can be read.
    rows
        Of `metrics.csv`.

    Returns
    -------
    list of str
        None where the command is not known.
    """
    if not record.get("command"):
        return []
    told = ["With the versions above, in the folder where it was typed first, the first command repeats the training."]
    if config is not None and config.training.minutes:
        length = f" (this one made {rows[-1].get('step')} steps)" if rows and rows[-1].get("step") else ""
        told.append(
            f"It ends when its time is over{length}: a faster or slower machine makes more or fewer steps, and scores "
            "differ a little. Trainings by --epochs repeat step by step."
        )
    else:
        told.append(
            "The seed fixes the split, the first weights, and what is drawn in every step; on another processor or GPU "
            "the last digits may differ."
        )
    told.append(
        "The lists below say which images it used. Where files were added to the data since, put the lists into one "
        "file and add --cases FILE to the command."
    )
    return told


def commands(record: dict[str, Any], name: str) -> list[str]:
    """The command that made a run, and those that score and use it.

    Parameters
    ----------
    record
        What `run.json` holds.
    name
        Of the run's folder.

    Returns
    -------
    list of str
        A line each.
    """
    first = in_words(record.get("command"))
    if not first:
        return []
    data, run = str(record.get("data") or ""), shlex.quote(name)
    if not data or data == IN_MEMORY or "folds" in record or not record.get("validation_hash"):
        return [first]
    held_out = shlex.quote(f"{name}/validation.txt")
    return [first, f"ulna evaluate {run} {shlex.quote(data)} --cases {held_out} --out scores"]

"""The gallery of a run's report: every case that was held out, from the pictures beside the scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ulna.report.words import number
from ulna.runfiles import RunFiles, as_list, inner

FOLDER = "scores/gallery"


def gallery(run: RunFiles) -> dict[str, Any] | None:
    """What the page shows of the gallery.

    Parameters
    ----------
    run
        The files of a run.

    Returns
    -------
    dict or None
        Pictures in base 64, the worst case first; what colors mean; what is left out. None where there is none.
    """
    record = run.record(f"{FOLDER}/gallery.json")
    cases = [one for one in as_list(record.get("cases")) if isinstance(one, dict)]
    shown = []
    for one in cases:
        data = run.picture(f"{FOLDER}/{Path(str(one.get('file', ''))).name}")
        if data:
            score = one.get("score")
            shown.append(
                {
                    "case": str(one.get("case", "")),
                    "group": str(one.get("group", "")),
                    "score": number(score),
                    "scored": isinstance(score, int | float),
                    "odd": str(one.get("odd", "")),
                    "data": data,
                }
            )
    if not shown:
        return None
    left_out = str(record.get("left_out", ""))
    return {"cases": shown, "legend": _legend(inner(record, "legend")), "left_out": left_out}


def _legend(record: dict[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """What colors mean: by part of the legend, names and colors as a page takes them."""
    found = []
    for title, colors in record.items():
        named = colors.items() if isinstance(colors, dict) else ()
        found.append((str(title), [(str(name), _web(tint)) for name, tint in named]))
    return found


def _web(tint: Any) -> str:
    parts = [part for part in as_list(tint) if isinstance(part, int)]
    return "#{:02x}{:02x}{:02x}".format(*(part & 255 for part in parts)) if len(parts) == 3 else "#808080"

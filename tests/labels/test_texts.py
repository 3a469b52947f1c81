"""What is said of many kinds of masks, complete: the reading, how sure it is, the next one, doubts, and the YAML."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from PIL import Image as Pillow

import simulated_masks as simulated
from golden_values import Golden
from ulna.config import DataConfig
from ulna.errors import UlnaError
from ulna.labels.inference import interpret

Masks = list[np.ndarray]
CELLS = simulated.cell_types(0, 2, side=64)[:6]
COLORS = np.array([[0, 0, 0], [200, 30, 30], [30, 200, 30], [224, 224, 192]], np.uint8)


def _each(change: Callable[[np.ndarray], np.ndarray], masks: Masks = CELLS) -> Masks:
    return [change(mask.copy()) for mask in masks]


def _jpeg(mask: np.ndarray) -> np.ndarray:
    stream = io.BytesIO()
    Pillow.fromarray(mask[0].astype(np.uint8)).save(stream, "JPEG", quality=90)
    return np.asarray(Pillow.open(stream))[None]


def _with(value: int, rows: int = 3) -> Callable[[np.ndarray], np.ndarray]:
    def change(mask: np.ndarray) -> np.ndarray:
        mask[:, :rows] = value
        return mask

    return change


SETS: dict[str, Masks] = {
    "cells of two types": CELLS,
    "one type": _each(lambda mask: (mask > 0).astype(np.uint8)),
    "in three tones": _each(lambda mask: mask * 100),
    "dark on light": _each(lambda mask: np.where(mask > 0, 0, 255).astype(np.uint8)),
    "from 1 on": _each(lambda mask: mask + 1),
    "none at 255": _each(_with(255)),
    "none at 255 for the most part": _each(_with(255, 50)),
    "none at 7": _each(_with(7)),
    "negative": _each(lambda mask: _with(-1)(mask.astype(np.int16))),
    "colors": _each(lambda mask: np.moveaxis(COLORS[mask[0]], -1, 0)),
    "colors with outlines as in VOC": _each(lambda mask: np.moveaxis(COLORS[_with(3)(mask)[0]], -1, 0)),
    "JPEG": _each(lambda mask: _jpeg((mask > 0) * 255)),
    "JPEG of types": _each(lambda mask: _jpeg(mask * 100)),
    "strays": [*_each(lambda mask: _with(9, 0)(mask)), np.where(np.eye(64) * np.arange(64) == 9, 9, CELLS[0])],
    "a stray near the background": [
        *_each(lambda mask: mask * 100),
        np.where(np.eye(64) * np.arange(64) == 9, 3, CELLS[0] * 100),
    ],
    "empty": _each(lambda mask: mask * 0),
    "full": _each(lambda mask: mask * 0 + 1),
    "numbers that are not whole": _each(lambda mask: mask / np.float32(3)),
    "noise": [np.random.default_rng(k).integers(0, 255, (1, 64, 64)).astype(np.uint8) for k in range(4)],
    "two channels": _each(lambda mask: np.concatenate([mask, mask[:, ::-1]])),
    "discs": simulated.discs(0, (3, 9))[:8],
    "tissue": simulated.tissue(0)[:4],
    "tracks": simulated.tracks(0, 6)[:6],
    "layers": simulated.layers(0, (3, 5))[:6],
    "rings": simulated.rings(0)[:6],
    "organs": simulated.organs(0, 4)[:8],
    "tissues": simulated.tissues(0, 3)[:4],
    "one mask of organs": simulated.organs(1, 3)[:1],
}

SETTINGS: dict[str, dict[str, object]] = {
    "": {},
    "two names": {"classes": ("background", "cell")},
    "three names": {"classes": ("background", "cell", "debris")},
    "ignore": {"ignore": (2,)},
    "values": {"values": ((0,), ("1..2",)), "classes": ("ground", "thing")},
}


def _said(masks: Masks, settings: dict[str, object]) -> list[str]:
    try:
        found = interpret(masks, DataConfig(**settings))
    except UlnaError as error:
        return [f"error: {error}"]
    other = found.runner_up.sentence if found.runner_up else "-"
    classes = found.classes
    return [
        f"{classes.kind}: {classes.sentence}",
        f"{found.certainty:.2f} sure; else: {other}",
        *(f"doubt ({doubt.sure:.2f}): {doubt}" for doubt in found.doubts),
        classes.yaml(),
        f"predicted: {classes.predicted.sentence} {classes.predicted.values}",
    ]


def test_what_is_said_of_masks(golden: Golden) -> None:
    lines = []
    for name, masks in SETS.items():
        lines += [f"# {name}", *_said(masks, {})]
    for name, settings in SETTINGS.items():
        lines += [f"# {name} set of cells of two types", *_said(CELLS, settings)]
    golden.check_text("masks", "\n".join(lines))

"""What is said of images that are predicted: what their files leave open, and what was assumed instead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ulna.channels import used
from ulna.config import DataConfig
from ulna.dataset import Case, named
from ulna.formats import open_reader
from ulna.image import Channel, Source
from ulna.inference.inputs import repeated
from ulna.orientation import orientation
from ulna.resampling import placing_note, resampling_note
from ulna.text import listed, plural


def masks_of_data(cases: Sequence[Case]) -> list[str]:
    """That a data set holds masks, which are no images to predict: two folders of images may look like one."""
    truth = [source for case in cases for source in case.truth]
    if not truth:
        return []
    return [f"taken for masks of the images and not predicted: {plural(len(truth), 'file')}, {truth[0]} for one"]


def left_out(files: Sequence[str]) -> list[str]:
    """That the layout of a data set leaves files out: of cases that lack something, or masks of the body."""
    if not files:
        return []
    what = f"{plural(len(files), 'file')} of the data set {'is' if len(files) == 1 else 'are'} left out as in training"
    return [f"{what}: {listed(files, 4)} ('ulna check' says why)"]


def assumed(case: Case, name: str, data: DataConfig) -> list[str]:
    """What the files of an image do not say and was assumed, with the other reading."""
    found, channels = list[str](), list[Channel]()
    for source in case.images:
        with open_reader(replace(source, page=None, region=())) as reader:
            channels += [channel for channel in reader.channels if channel.role == "signal"]
            grid = orientation(reader.grid).grid(reader.grid)
            found.extend(f"{source.name}: {said}" for said in (reader.assumed, reader.chosen) if said)
    notes = (
        _stated(case.images[0]),
        used(named(tuple(channels), case.channels), data)[1],
        repeated(len(channels), data),
        resampling_note(grid, data),
        placing_note(grid, data),
    )
    return [*found, *(f"{name}: {note}" for note in notes if note)]


def _stated(source: Source) -> str:
    """That a file which does not say how far apart its pixels lie is taken to be as was stated in training."""
    if not source.spacing:
        return ""
    with open_reader(replace(source, page=None, region=(), spacing=(), unit="")) as reader:
        silent = reader.grid.spacing == (1.0,) * len(source.spacing)
    apart = f"{' × '.join(f'{side:g}' for side in source.spacing)} {source.unit}".strip()
    return f"does not say how far apart its pixels lie; taken as was stated in training: {apart}" if silent else ""

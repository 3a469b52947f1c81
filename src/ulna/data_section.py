"""The section `data` of the configuration: what the images and masks mean, and how they are seen."""

from __future__ import annotations

from pathlib import PurePath
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from ulna.section import Section, Size
from ulna.units import spelled


def _ordered(span: tuple[float, float]) -> tuple[float, float]:
    if not span[0] < span[1]:
        raise ValueError("must be a range (low, high)")
    return span


def _as_text(value: object) -> object:
    """A path as text; all else as it is, for pydantic to judge."""
    return str(value) if isinstance(value, PurePath) else value


def _axes(axes: str) -> str:
    letters = axes.upper()
    if letters and (set(letters) - set("TZCYX") or len(set(letters)) < len(letters) or not {"Y", "X"} <= set(letters)):
        raise ValueError('must have one letter per axis, as in "CYX", "YXC", "ZYX" or "TZCYX"; rows are Y, columns X')
    return letters


def _unit(unit: str) -> str:
    return spelled(unit) if unit else ""


def _several(patterns: object) -> object:
    """One pattern may be written without a list."""
    return [patterns] if isinstance(patterns, str) else patterns or ()


def _one_or_several(values: object) -> object:
    """One value may be written without a list."""
    return (values,) if isinstance(values, int | str) else values


def _named_lists(regions: object) -> object:
    """Names with their lists, from a mapping or from pairs; one value may be written without a list."""
    pairs = list(regions.items()) if isinstance(regions, dict) else regions
    if not isinstance(pairs, list | tuple) or any(not isinstance(one, list | tuple) or len(one) != 2 for one in pairs):
        raise ValueError("must name regions with their classes or mask values, as in {whole: [1, 2], core: [2]}")
    names = [str(name) for name, _ in pairs]
    if len(set(names)) < len(names) or not all(names) or any(not isinstance(one, int) and not one for _, one in pairs):
        raise ValueError("must name each region once, with a class at least")
    return tuple((str(name), _one_or_several(values)) for name, values in pairs)


def _channels(value: object) -> object:
    """One channel may be written without a list; none has a number below 0."""
    several = value if isinstance(value, list | tuple) else [] if value is None or value == "" else [value]
    if any(type(one) is int and one < 0 for one in several):
        raise ValueError("must be names, or numbers from 0 on")
    return several


SELECTION = ("data.time", "data.scene", "data.channel_names")
"""Settings of what is read of a file; a trained model can read another part of files than it was trained on."""

Spacing = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
FilePatterns = Annotated[tuple[str, ...], BeforeValidator(_several)]
Modality = Literal["stained", "fluorescence", "mr", "ct", "em"]


class DataConfig(Section):
    """What the images and masks mean.

    `channels` is 0 until the plan has looked. `classes` are the names of the classes with the background
    first and `values` the mask values of each (a color is written "r,g,b"); empty means: found out by
    looking. `resize` brings every image to one size before the network (the tutorial's way), `target_spacing` to one
    spacing; both None keep the images' own resolution.
    """

    channels: int = Field(0, ge=0, description="number of channels of the images; 0: as the images have it")
    use_channels: Annotated[tuple[int | str, ...], BeforeValidator(_channels)] = Field(
        (),
        description="which channels of the images are used, by number from 0 or by name; `flair|t2f|0` is the first of "
        "these that an image has; empty: all",
    )
    channel_names: tuple[str, ...] = Field(
        (),
        description="names of the channels in the order in which the network takes them, where files name them: those "
        "of images to be predicted are put into this order; empty: taken as they lie",
    )
    classes: tuple[str, ...] = Field(
        (), description="names of the classes, the background first; empty: inferred from the masks"
    )
    values: tuple[tuple[int | str, ...], ...] = Field(
        (),
        description="mask values of each class (numbers, ranges `128..255`, colors `r,g,b`, `other`, `channel 1`); "
        "empty: inferred",
    )
    ignore: Annotated[tuple[int | str, ...], BeforeValidator(_one_or_several)] = Field(
        (), description="mask values of pixels that are not annotated (in no loss and no score); empty: inferred"
    )
    regions: Annotated[tuple[tuple[str, tuple[int | str, ...]], ...], BeforeValidator(_named_lists)] = Field(
        (),
        description="regions, each of several classes, by their names or mask values: `{whole: [1, 2], core: [2]}`; "
        "two are apart, or one lies within the other; empty: as `dataset.json` says, or none",
    )
    objects: bool | None = Field(
        None,
        description="whether each mask value is an object of its own, within its class where `values` lists ranges "
        '(`[[0], ["26000..26999"]]`); null: inferred',
    )
    images: FilePatterns = Field(
        (), description="patterns of the image files, relative to the data, `scans/{case}.png`; empty: found by names"
    )
    masks: FilePatterns = Field(
        (),
        description="patterns of the files of masks, `drawn/{case}_roi.png`, or one per class, "
        "`{case}/{class}.png`; empty: found by names",
    )
    labels: Annotated[str, BeforeValidator(_as_text)] = Field(
        "",
        description="folder of the labels, where there are several, `scribblesTr`: its name, or its path within the "
        "data; empty: found by names",
    )
    axes: Annotated[str, AfterValidator(_axes)] = Field(
        "",
        description="what the axes of TIFF files mean that do not state them, a letter each: `CYX` (channels, rows, "
        "columns), `YXC`, `ZYX`, …; empty: as the file says, or by a rule that `check` names",
    )
    time: Annotated[int, Field(ge=0)] | None = Field(
        None,
        description="which time point is read of files that hold several, by number from 0; null: all, each an image "
        "of its own (of NIfTI and DICOM: a channel)",
    )
    scene: Annotated[int, Field(ge=0)] | Annotated[str, Field(min_length=1)] | None = Field(
        None,
        description="which image is read of files that hold several (scenes, positions, series, wells), by number from "
        "0 or by name; null: the first",
    )
    modality: Modality | Literal["auto"] = Field(
        "auto",
        description="kind of the images: `stained` (tissue in transmitted light, color photographs), `fluorescence`, "
        "`mr`, `ct`, `em` (and other gray images); `auto`: inferred. All but `stained` have percentiles by channel and "
        "no variation of stains where nothing else is set",
    )
    normalization: Literal["percentile", "percentile_by_channel", "zscore", "zscore_inside", "ct", "range", "none"] = (
        Field(
            "percentile",
            description="`percentile`: the 1st percentile of each image becomes 0 and the 99.8th 1; "
            "`percentile_by_channel`: the same per channel; `zscore`: each channel to mean 0 and standard "
            "deviation 1; `zscore_inside`: the same of what lies inside, where the outside has one value; `ct`: all "
            "images alike, by `window`, `center` and `scale`; `range`: divided by the largest number of 8 or 16 bits, "
            "floats from 0 to 1 as they are; `none`",
        )
    )
    counts: bool | None = Field(
        None,
        description="`percentile_by_channel`: whether the channels count in one unit (photons, gray levels), so that "
        "the noise of an empty channel is not stretched to an image; null: whether the types of the training images "
        "are unsigned",
    )
    spacing: tuple[Spacing, ...] = Field(
        (),
        description="distance of the pixels along each axis (slices, rows, columns: `[1.75, 0.8, 0.8]`) of images "
        "whose files do not say it; empty: unknown there",
    )
    unit: Annotated[str, AfterValidator(_unit)] = Field(
        "",
        description="unit of `spacing` and `target_spacing` (`nm`, `µm` or `um`, `mm`, …); empty: that of the files",
    )
    target_spacing: tuple[NotNegative, ...] | None = Field(
        (),
        description="distance of pixels at which the network sees images, along each axis (of volumes with a known "
        "place: from foot to head, from front to back, from side to side); 0: along this axis their own; null: their "
        "own; empty: the plan decides",
    )
    missing: float | None = Field(
        None,
        description="what NaN in the files is read as, the value outside of the body for example; null: images that "
        "hold it are refused",
    )
    window: Annotated[tuple[float, float], AfterValidator(_ordered)] | None = Field(
        None,
        description="`ct`: the range that all images are clipped to; null: percentiles 0.5 and 99.5 of the foreground "
        "of the training images",
    )
    center: float | None = Field(
        None, description="`ct`: what is taken off; null: the mean of the foreground of the training images"
    )
    scale: float | None = Field(
        None, gt=0, description="`ct`: what is divided by; null: the standard deviation of that foreground"
    )
    resize: tuple[Size, ...] | None = Field(
        None, description="resize all images to this size first; null: their own resolution"
    )
    slices: Literal[0, 1, 2] | None = Field(
        None,
        description="the axis on which slices follow, 0 is Z and 2 is X, where a 2D network learns those of volumes, "
        "which are normalized as a whole; null: it learns images",
    )
    groups: Annotated[str, BeforeValidator(_as_text)] = Field(
        "",
        description="what belongs together (one patient, sample, series): a regular expression with one capture, "
        "searched for in the names of the cases, or a CSV file of name and group; empty: found from folders, films "
        "and names",
    )
    leaks: bool = Field(
        True, description="join near-duplicates and tiles of one picture to one group; false: only equal pixels"
    )
    validation: float = Field(
        0.1, ge=0, lt=1, description="share of the cases held out for validation, by group; 0: none"
    )

    @property
    def inputs(self) -> int:
        """How many channels a network takes of the images; 0 before the plan has looked."""
        return len(self.use_channels) or self.channels

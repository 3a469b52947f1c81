"""The sections of the configuration: every setting with its type, its bounds, its default and its description."""

from __future__ import annotations

from pathlib import PurePath
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from ulna.section import Section, Size


def _rising(span: tuple[float, float]) -> tuple[float, float]:
    if not 0 < span[0] <= span[1]:
        raise ValueError("must be a range (low, high) above 0")
    return span


def _ordered(span: tuple[float, float]) -> tuple[float, float]:
    if not span[0] < span[1]:
        raise ValueError("must be a range (low, high)")
    return span


def _present_task(name: object) -> object:
    """`masks` is what the task `semantic` was called before."""
    return "semantic" if name == "masks" else name


def _as_text(value: object) -> object:
    """A path as text; all else as it is, for pydantic to judge."""
    return str(value) if isinstance(value, PurePath) else value


def _axes(axes: str) -> str:
    letters = axes.upper()
    if letters and (set(letters) - set("TZCYX") or len(set(letters)) < len(letters) or not {"Y", "X"} <= set(letters)):
        raise ValueError('must have one letter per axis, as in "CYX", "YXC", "ZYX" or "TZCYX"; rows are Y, columns X')
    return letters


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


Spacing = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
FilePatterns = Annotated[tuple[str, ...], BeforeValidator(_several)]
Modality = Literal["stained", "fluorescence", "mr", "ct", "em"]
Span = Annotated[tuple[float, float], AfterValidator(_rising)]


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
    unit: str = Field(
        "",
        description="unit of `spacing` and `target_spacing` (`nm`, `µm`, `mm`, …); empty: that of the files",
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


class DecodingConfig(Section):
    """What `ulna.tasks.decoding.Decoding` holds."""

    foreground: float = Field(0.5, gt=0, lt=1, description="probability above which a pixel may belong to an object")
    seed: float = Field(
        0.5, ge=0, lt=1, description="distance that every object reaches and that falls to this between two"
    )
    depth: float = Field(
        0.0, ge=0, lt=1, description="by how much the distance falls between two objects at least; 0: as `seed` says"
    )
    smallest: int = Field(0, ge=0, description="pixels of the smallest object")
    holes: bool = Field(False, description="whether holes in objects are filled")


class TaskConfig(Section):
    """The question asked of an image, and how an answer is evaluated while training."""

    name: Annotated[Literal["auto", "semantic", "instances", "regions"], BeforeValidator(_present_task)] = Field(
        "auto",
        description="`semantic`: the class of each pixel; `instances`: also its object; `regions`: whether it lies in "
        "each of `data.regions`; `auto`: regions where some are stated, objects where the masks number them",
    )
    loss: Literal["dice_cross_entropy", "cross_entropy", "dice", "log_dice", "own"] = Field(
        "dice_cross_entropy",
        description="`dice_cross_entropy` (the sum), `cross_entropy`, `dice`, or its negative logarithm `log_dice`; "
        "`own`: the function that `ulna.train(loss=...)` was given",
    )
    threshold: float = Field(
        0.5, gt=0, lt=1, description="probability from which a single class, or a region, is there"
    )
    target: Literal["distance", "neighbors", "none"] = Field(
        "distance",
        description="what is learned of objects beside their class: the `distance` from the object's border, also that "
        "to `neighbors`, or `none`: objects are connected regions, with a line of background between those that touch",
    )
    border_weight: float = Field(
        0.0,
        ge=0,
        description="how much more pixels between two objects that are close weigh in the cross-entropy (w0 of the "
        "U-Net paper, 10 there); 0: all weigh the same",
    )
    border_sigma: float = Field(5.0, gt=0, description="how wide such borders are, pixels (sigma of the paper)")
    class_weights: tuple[float, ...] | None = Field(
        None, description="with border weights, the weight of each class, the background first; null: 1"
    )
    borders: str | None = Field(
        None,
        description="name of the class that parts cells, as membranes do (`background` where cells are the class): "
        "scores then also say how well cells are kept apart and whole, as in the ISBI 2012 challenge",
    )
    tolerance: float = Field(
        1.0,
        ge=0,
        description="how far apart surfaces of volumes may lie and count as the same (surface Dice), in their unit",
    )
    decoding: DecodingConfig | None = Field(
        None, description="the constants that turn outputs into objects; null: fitted on the validation images"
    )

    @model_validator(mode="after")
    def _weights_need_cross_entropy(self) -> Self:
        if self.border_weight and "cross_entropy" not in self.loss:
            raise ValueError(f"border weights are of the cross-entropy, which the loss `{self.loss}` does not have")
        return self


class AugmentationConfig(Section):
    """How training images are varied. Each pair is a range that is drawn from evenly; each probability is per image.

    Angles in degrees, shifts as a share of the patch, elastic displacement in pixels (standard deviation of
    the vectors on the coarse grid), brightness, contrast and noise in units of the normalized image.
    """

    flip: bool | tuple[Literal[0, 1, 2], ...] = Field(
        True,
        description="flip along every axis, or along those of a list, where left and right must not be mixed up: "
        "`[0, 1]` flips volumes along Z and Y",
    )
    quarter_turns: float = Field(
        0.0,
        ge=0,
        le=1,
        description="probability of a turn by 90, 180 or 270 degrees in the plane of the last two axes, if patches are "
        "square there",
    )
    rotation: float = Field(180.0, ge=0, le=180, description="largest angle to either side, degrees")
    tilt: float = Field(
        0.0, ge=0, le=180, description="in 3D, largest angle out of the plane of the last two axes, degrees"
    )
    slices: Literal[0, 1, 2] | None = Field(
        None,
        description="the axis on which thick slices of volumes follow, 0 is Z and 2 is X: they are rotated, scaled, "
        "moved and bent within their plane alone, and not blurred into each other; null: all axes alike",
    )
    scale: Span = Field((0.7, 1.4), description="range of the magnification")
    shift: float = Field(0.0, ge=0, le=1, description="largest shift, as a share of the patch")
    elastic: float = Field(
        6.0, ge=0, description="standard deviation of the displacement vectors, pixels; less on small patches"
    )
    elastic_grid: int = Field(3, ge=2, description="points of the coarse displacement grid per axis")
    spatial_probability: float = Field(
        0.8, ge=0, le=1, description="probability per image of all of the above together"
    )
    brightness: float = Field(0.1, ge=0, description="largest offset, in units of the normalized image")
    contrast: Span = Field((0.75, 1.25), description="range of the factor around the mean")
    gamma: Span = Field((0.7, 1.5), description="range of the exponent")
    stain: float = Field(0.4, ge=0, description="how far colors may move, for three channels and more")
    counterstain: float = Field(
        0.5, ge=0, le=1, description="probability that a second, unevenly spread stain is laid over a color image"
    )
    fluorescence_to_brightfield: float = Field(
        0.3,
        ge=0,
        le=1,
        description="probability that a gray image among color ones (fluorescence) is redrawn as stained tissue, "
        "dark on bright",
    )
    noise: float = Field(0.05, ge=0, description="largest standard deviation of the noise")
    blur: float = Field(1.0, ge=0, description="largest standard deviation of the Gaussian, pixels of the finest axis")
    low_resolution: float = Field(
        0.0,
        ge=0,
        le=1,
        description="probability per channel that it is shown as an image of lower resolution, down to one half, "
        "would be",
    )
    intensity_probability: float = Field(
        0.5, ge=0, le=1, description="probability per image of each change of intensity"
    )

    @model_validator(mode="after")
    def _slices_are_not_tilted(self) -> Self:
        if self.slices is not None and self.tilt:
            raise ValueError("thick slices (augmentation.slices) are not tilted: set augmentation.tilt to 0")
        return self


class TrainingConfig(Section):
    """How the network learns. Either `minutes` or `epochs` bounds the training; both None means the plan decides.

    A size of 0 means: the plan decides (patch, batch, steps of an epoch).
    """

    minutes: float | None = Field(None, gt=0, description="time budget for everything; set by `--minutes`")
    epochs: int | None = Field(None, gt=0, description="number of epochs; set by `--epochs`")
    steps: int = Field(
        0,
        ge=0,
        description="steps per epoch; 0: about one pass over all pixels, at most 250. With `--minutes` an epoch has "
        "as many as its share of the time allows",
    )
    batch_size: int = Field(0, ge=0, description="patches per batch; 0: about 131,000 pixels in 2D")
    patch: tuple[Size, ...] = Field(
        (),
        description="size of a patch; empty: at most 128 pixels per side in 2D, 256 where images hold three objects "
        "or fewer",
    )
    final_phase: float = Field(
        0.3, ge=0, le=1, description="share of the training, at its end, on larger patches; 0: none"
    )
    final_patch: tuple[Size, ...] = Field(
        (), description="size of the larger patches; empty: that of the images, at most 256 pixels per side in 2D"
    )
    sampling: Literal["images", "groups"] = Field(
        "groups", description="`groups`: every group is drawn equally often; `images`: every image"
    )
    foreground: float = Field(0.33, ge=0, le=1, description="share of the patches centered on foreground")
    optimizer: Literal["muon", "adamw", "adam", "sgd"] = Field(
        "muon", description="`muon` for the kernels of convolutions, with `adamw` for all else; `adamw`, `adam`, `sgd`"
    )
    learning_rate: float = Field(2e-3, gt=0, description="largest value of the schedule")
    momentum: float = Field(0.95, ge=0, lt=1, description="of `muon` and `sgd`")
    weight_decay: float = Field(1e-2, ge=0, description="of all optimizers")
    schedule: Literal["one_cycle", "constant"] = Field(
        "one_cycle", description="`one_cycle`: up for a fifth, then down along a cosine; `constant`"
    )
    precision: Literal["auto", "bf16", "float32"] = Field(
        "auto", description="`auto`: bf16 where the hardware multiplies it; `bf16`, `float32`"
    )
    clip: float | None = Field(
        1.0, gt=0, description="largest norm of the gradient over all weights; null: no clipping"
    )
    patience: int | None = Field(None, gt=0, description="stop after so many epochs without improvement; null: never")
    best: Literal["score", "loss"] = Field(
        "score",
        description="by what the best epoch is told, where the schedule is `constant` or `patience` is set: the "
        "`score` or the `loss` of the validation cases",
    )
    seed: int = Field(0, ge=0, description="seed of everything that is drawn; set by `--seed`")

    @property
    def chooses(self) -> bool:
        """Whether the best epoch on the validation cases is kept, and not the last.

        A one-cycle schedule ends where the learning rate has come to rest: what comes before is unfinished, and a
        few validation cases would choose among it by chance.
        """
        return self.schedule == "constant" or self.patience is not None


class InferenceConfig(Section):
    """How masks are predicted. `tile` is the largest side of a tile in pixels, 0 means: as memory allows."""

    tile: int = Field(0, ge=0, description="largest side of a tile, pixels; 0: as memory allows")
    margin: int = Field(16, ge=0, description="mirrored border around the whole image, pixels")
    tiling: Literal["auto", "exact", "blended"] = Field(
        "auto",
        description="`exact` (tiles equal the whole), `blended` (averaged), `auto`: exact but where volumes forbid",
    )
    mirror: bool = Field(
        False,
        description="average over the image and its mirror images along all axes that `augmentation.flip` mirrors: 4 "
        "times the work for two axes, 8 times for three",
    )
    overlap: float = Field(0.5, ge=0, le=0.75, description="share of their side by which blended tiles overlap")
    precision: Literal["auto", "bf16", "float32"] = Field("float32", description="`auto`, `bf16`, `float32`")

"""Sections of the configuration: every setting with its type, its bounds, its default and its description.

Those of the data and the network are in files of their own.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from ulna.section import Section, Size


def _rising(span: tuple[float, float]) -> tuple[float, float]:
    if not 0 < span[0] <= span[1]:
        raise ValueError("must be a range (low, high) above 0")
    return span


def _present_task(name: object) -> object:
    """`masks` is what the task `semantic` was called before."""
    return "semantic" if name == "masks" else name


Span = Annotated[tuple[float, float], AfterValidator(_rising)]


class DecodingConfig(Section):
    """What `ulna.tasks.decoding.Decoding` holds; what is null is fitted by the training."""

    foreground: float | None = Field(
        None, gt=0, lt=1, description="probability above which a pixel may belong to an object; null: fitted"
    )
    seed: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="distance that every object reaches and that falls to this between two; null: fitted",
    )
    depth: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="by how much the distance falls between two objects at least; 0: as `seed` says; null: fitted",
    )
    smallest: int | None = Field(None, ge=0, description="pixels of the smallest object; null: by the true sizes")
    holes: bool | None = Field(None, description="whether holes in objects are filled; null: as true objects have them")

    def known(self) -> dict[str, Any]:
        """The constants that are set, by name."""
        return {name: value for name, value in self.model_dump().items() if value is not None}


JOINT = "+"
"""In `task.largest_component`, between the names of classes that are one piece together."""


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
        "to `neighbors`, or `none`: objects are regions of the foreground, with a line of background between them",
    )
    border_weight: float = Field(
        0.0,
        ge=0,
        description="how much more pixels between two objects that are close weigh in the cross-entropy (w0 of the "
        "U-Net paper, 10 there); 0: all weigh the same; not set: 10 for objects in images",
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
    largest_component: tuple[str, ...] | None = Field(
        None,
        description="classes of which only the largest connected component of an image or volume is kept; null: of "
        "volumes, those that are one piece in true masks, where that is better on the validation volumes; `[]`: none. "
        "`a+b`: both together are one piece",
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
    devices: int = Field(
        1,
        ge=1,
        description="number of GPUs of this machine that compute each batch together; on a CPU, of processes. "
        "`batch_size` is that of the whole batch; where it is 0, each device has one of its own",
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
    margin: int = Field(
        16,
        ge=0,
        description="mirrored border around the whole image, pixels; of volumes, and slices of MR and CT, the plan "
        "takes 0",
    )
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
    skip_background: bool = Field(
        False,
        description="pass over tiles in which hardly anything varies: glass beside tissue. What is faint beside "
        "the rest of the image can be lost with them",
    )
    engine: Literal["auto", "torch", "openvino", "onnxruntime"] = Field(
        "auto",
        description="what runs the network: `torch`, or on a CPU `openvino` or `onnxruntime`, which are extras; "
        "`auto`: OpenVINO where it is installed, else PyTorch. While training it is always PyTorch",
    )
    precision: Literal["auto", "bf16", "float32", "int8"] = Field(
        "float32",
        description="`auto`: bf16 where the hardware multiplies it; `bf16`, `float32`, or of a quantized model `int8`",
    )

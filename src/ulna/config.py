"""`Config`: every choice of a run, in words of the field. Unknown keys are an error that names the nearest."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from ulna.errors import UlnaError


def _rising(span: tuple[float, float]) -> tuple[float, float]:
    if not 0 < span[0] <= span[1]:
        raise ValueError("must be a range (low, high) above 0")
    return span


def _present_task(name: object) -> object:
    """`masks` is what the task `semantic` was called before."""
    return "semantic" if name == "masks" else name


Size = Annotated[int, Field(gt=0)]
Span = Annotated[tuple[float, float], AfterValidator(_rising)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)


class DataConfig(_Section):
    """What the images and masks mean.

    `channels` is 0 until the plan has looked. `classes` are the names of the classes with the background
    first and `values` the mask values of each (a color is written "r,g,b"); empty means: found out by
    looking. `resize` brings every image to one size before the network (the tutorial's way); None keeps the
    images' own resolution.
    """

    channels: int = Field(0, ge=0)
    classes: tuple[str, ...] = ()
    values: tuple[tuple[int | str, ...], ...] = ()
    normalization: Literal["percentile", "percentile_by_channel", "zscore", "range", "none"] = "percentile"
    resize: tuple[Size, ...] | None = None
    validation: float = Field(0.1, ge=0, lt=1, description="share of the cases held out for validation, by group")


class TaskConfig(_Section):
    """The question asked of an image, and how an answer is judged while training."""

    name: Annotated[Literal["semantic"], BeforeValidator(_present_task)] = "semantic"
    loss: Literal["dice_cross_entropy", "cross_entropy", "dice"] = "dice_cross_entropy"
    threshold: float = Field(0.5, gt=0, lt=1, description="probability from which one class is foreground")


class NetworkConfig(_Section):
    """The shape of the network. `widths` are the channels of each level, from the top; its length is the depth."""

    name: Literal["unet", "fcn8"] = "unet"
    ndim: Literal[2, 3] = 2
    widths: tuple[Size, ...] = Field((16, 32, 64, 128, 256), min_length=2)
    padding: Literal["same", "valid"] = "same"
    norm: Literal["none", "batch", "instance"] = "instance"
    upsampling: Literal["transposed", "nearest", "linear"] = "transposed"
    residual: bool = False
    dropout: float = Field(0.0, ge=0, lt=1)
    initialization: Literal["he", "glorot"] = "he"
    dropout_levels: Literal["all", "bottom"] = Field(
        "all", description="'bottom' is the end of the contracting path, as in the paper"
    )


class AugmentationConfig(_Section):
    """How training images are varied. Each pair is a range that is drawn from evenly; each probability is per image.

    Angles in degrees, shifts as a share of the patch, elastic displacement in pixels (standard deviation of
    the vectors on the coarse grid), brightness, contrast and noise in units of the normalized image.
    """

    flip: bool = True
    rotation: float = Field(180.0, ge=0, le=180)
    tilt: float = Field(0.0, ge=0, le=180, description="in 3D: rotation out of the plane of the last two axes")
    scale: Span = (0.7, 1.4)
    shift: float = Field(0.0, ge=0, le=1)
    elastic: float = Field(6.0, ge=0)
    elastic_grid: int = Field(3, ge=2)
    spatial_probability: float = Field(0.8, ge=0, le=1)
    brightness: float = Field(0.1, ge=0)
    contrast: Span = (0.75, 1.25)
    gamma: Span = (0.7, 1.5)
    stain: float = Field(0.4, ge=0, description="how far colors may move, channel by channel")
    counterstain: float = Field(0.5, ge=0, le=1, description="how often a second, unevenly spread stain is added")
    fluorescence_to_brightfield: float = Field(
        0.3, ge=0, le=1, description="how often gray among color is redrawn as stained tissue"
    )
    noise: float = Field(0.05, ge=0)
    blur: float = Field(1.0, ge=0, description="largest standard deviation of the Gaussian, in pixels")
    intensity_probability: float = Field(0.5, ge=0, le=1)


class TrainingConfig(_Section):
    """How the network learns. Either `minutes` or `epochs` bounds the training; both None means the plan decides.

    A size of 0 means: the plan decides (patch, batch, steps of an epoch).
    """

    minutes: float | None = Field(None, gt=0)
    epochs: int | None = Field(None, gt=0)
    steps: int = Field(0, ge=0, description="steps of an epoch; a training by the clock has its own")
    batch_size: int = Field(0, ge=0)
    patch: tuple[Size, ...] = ()
    final_phase: float = Field(0.3, ge=0, le=1, description="share of the training, at its end, on larger patches")
    final_patch: tuple[Size, ...] = ()
    sampling: Literal["images", "groups"] = "groups"
    foreground: float = Field(0.33, ge=0, le=1, description="share of patches centerd on the foreground")
    optimizer: Literal["muon", "adamw", "adam", "sgd"] = "muon"
    learning_rate: float = Field(2e-3, gt=0)
    momentum: float = Field(0.95, ge=0, lt=1)
    weight_decay: float = Field(1e-2, ge=0)
    schedule: Literal["one_cycle", "constant"] = "one_cycle"
    precision: Literal["auto", "bf16", "float32"] = "auto"
    clip: float | None = Field(1.0, gt=0, description="largest norm of the gradient, over all weights")
    patience: int | None = Field(None, gt=0, description="epochs without gain after which training stops early")
    seed: int = Field(0, ge=0)

    @property
    def chooses(self) -> bool:
        """Whether the best epoch on the validation cases is kept, and not the last.

        A one-cycle schedule ends where the learning rate has come to rest: what comes before is unfinished, and a
        few validation cases would choose among it by chance.
        """
        return self.schedule == "constant" or self.patience is not None


class InferenceConfig(_Section):
    """How masks are predicted. `tile` is the largest side of a tile in pixels, 0 means: as memory allows."""

    tile: int = Field(0, ge=0)
    margin: int = Field(16, ge=0, description="mirrored border around the whole image, in pixels")
    precision: Literal["auto", "bf16", "float32"] = "float32"


class Config(_Section):
    """Every choice of a run. What is resolved is written into the run and into the model."""

    preset: str = "default"
    data: DataConfig = DataConfig()
    task: TaskConfig = TaskConfig()
    network: NetworkConfig = NetworkConfig()
    augmentation: AugmentationConfig | None = AugmentationConfig()
    training: TrainingConfig = TrainingConfig()
    inference: InferenceConfig = InferenceConfig()

    @model_validator(mode="after")
    def _sizes_suit_the_axes(self) -> Self:
        sizes = {
            "training.patch": self.training.patch,
            "training.final_patch": self.training.final_patch,
            "data.resize": self.data.resize or (),
        }
        for name, size in sizes.items():
            if size and len(size) != self.network.ndim:
                raise ValueError(f"{name} needs {self.network.ndim} numbers, one a spatial axis, not {len(size)}")
        return self

    @classmethod
    def parse(cls, words: dict[str, Any], *, where: object = "configuration") -> Config:
        """Check a nested dictionary and make it a Config; raises UlnaError in plain words, all faults at once."""
        try:
            return cls.model_validate(words)
        except ValidationError as error:
            lines = [_plain(fault) for fault in error.errors()]
            raise UlnaError("\n".join(lines), where=where) from None

    def changed(self, changes: dict[str, Any], *, where: object = "configuration") -> Config:
        """A copy with dotted keys set: `{"training.batch_size": 8}`. Raises UlnaError for unknown keys."""
        words = self.model_dump()
        for key, value in changes.items():
            *sections, last = key.split(".")
            place: Any = words
            for section in sections:
                _known(section, place, key, where)
                if place[section] is None:  # a section that is switched off begins anew from its defaults
                    place[section] = _defaults(section)
                place = place[section]
            _known(last, place, key, where)
            place[last] = value
        return Config.parse(words, where=where)


def dotted(words: dict[str, Any], before: str = "") -> dict[str, Any]:
    """Nested sections as dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in words.items():
        flat |= dotted(value, f"{before}{key}.") if isinstance(value, dict) else {f"{before}{key}": value}
    return flat


def _defaults(section: str) -> dict[str, Any]:
    model = _section(Config.model_fields[section].annotation) if section in Config.model_fields else None
    return model().model_dump() if model else {}


def _known(name: str, place: Any, key: str, where: object) -> None:
    if not isinstance(place, dict) or name not in place:
        raise UlnaError(f"there is no setting '{key}'.{_nearest_key(key)}", where=where)


def nearest(word: str, known: Any) -> str:
    """' Did you mean …?' for a misspelt word, or the list of the words that are known."""
    words = sorted(str(name) for name in known)
    close = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    return f" Did you mean '{close[0]}'?" if close else f" Known here: {', '.join(words)}."


RENAMED = {
    "augmentation.transmitted": "augmentation.fluorescence_to_brightfield",
    "data.normalisation": "data.normalization",
    "network.initialisation": "network.initialization",
    "training.settling": "training.final_phase",
    "training.settling_patch": "training.final_patch",
}
"""Settings that had another name, and what they are called now."""


def _nearest_key(key: str) -> str:
    """As `nearest`, for a dotted key: its section or its last name may be misspelt, or the section be missing."""
    if key in RENAMED:
        return f" It is now called '{RENAMED[key]}'."
    keys = list(_keys(Config))
    last = key.rpartition(".")[2]
    named = [known for known in keys if known.rpartition(".")[2] == last]
    close = named or difflib.get_close_matches(key, keys, n=1, cutoff=0.7)
    if close:
        return f" Did you mean '{close[0]}'?"
    section = key.partition(".")[0]
    return nearest(last, [known for known in keys if known.startswith(f"{section}.")] or Config.model_fields)


def _keys(model: type[BaseModel], before: str = "") -> Iterator[str]:
    """Every setting as a dotted key."""
    for name, field in model.model_fields.items():
        section = _section(field.annotation)
        if section is None:
            yield before + name
        else:
            yield from _keys(section, f"{before}{name}.")


def _section(annotation: Any) -> type[BaseModel] | None:
    options = getattr(annotation, "__args__", (annotation,))
    return next((one for one in options if isinstance(one, type) and issubclass(one, BaseModel)), None)


def _plain(fault: Any) -> str:
    """One fault that pydantic found, as people say it."""
    key = ".".join(step for step in fault["loc"] if isinstance(step, str))
    if fault["type"] == "extra_forbidden":
        return f"there is no setting '{key}'.{_nearest_key(key)}"
    if fault["type"] == "value_error":
        said = str(fault["ctx"]["error"])
        return f"{key} {said}, not {_shown(fault['input'])}" if key else said
    said = fault["msg"].partition(", unable to")[0].replace("Input should be", "must be").partition(" or instance")[0]
    if fault["type"] == "too_short":
        said = f"needs at least {fault['ctx']['min_length']} numbers"
    said = said.replace("valid dictionary", "section with settings of its own").replace("valid tuple", "list")
    return f"{key or 'this'} {said[:1].lower()}{said[1:]}, not {_shown(fault['input'])}"


def _shown(value: Any) -> str:
    text = str(list(value)) if isinstance(value, tuple | list) else str(value)
    return text if len(text) < 60 else f"{text[:59]}…"

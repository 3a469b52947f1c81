"""`Config`: every choice of a run, in words of the field. Unknown keys are an error that names the nearest."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from functools import cache
from typing import Any, Self

from pydantic import BaseModel, Field, ValidationError, model_validator

from ulna.data_section import DataConfig, Modality
from ulna.errors import UlnaError
from ulna.network_section import NetworkConfig, Sides, by_level
from ulna.section import Section, shown
from ulna.sections import AugmentationConfig, InferenceConfig, TaskConfig, TrainingConfig

__all__ = [
    "RENAMED",
    "AugmentationConfig",
    "Config",
    "DataConfig",
    "InferenceConfig",
    "Modality",
    "NetworkConfig",
    "Sides",
    "TaskConfig",
    "TrainingConfig",
    "by_level",
    "descriptions",
    "dotted",
    "nearest",
]


MIN_SUPERVISED = 4
"""Levels from which on deep supervision has an output to add: the top one is there anyway, the lowest two have none."""


class Config(Section):
    """Every choice of a run. What is resolved is written into the run and into the model.

    `ulna.settings()` lists all settings with their defaults and meanings.

    Parameters
    ----------
    preset
        The name of the preset that it began with.
    data, task, network, augmentation, training, inference
        The sections. `augmentation` may be None: nothing is augmented.

    Raises
    ------
    ValidationError
        By pydantic, for unknown keys and values; `Config.parse` says the same in plain words.

    Examples
    --------
    >>> ulna.Config().changed({"training.batch_size": 4}).training.batch_size
    4
    """

    preset: str = Field(
        "default", description="name of the preset that it began with; set by `--preset`, or in a YAML file"
    )
    data: DataConfig = DataConfig()
    task: TaskConfig = TaskConfig()
    network: NetworkConfig = NetworkConfig()
    augmentation: AugmentationConfig | None = AugmentationConfig()
    training: TrainingConfig = TrainingConfig()
    inference: InferenceConfig = InferenceConfig()

    @model_validator(mode="before")
    @classmethod
    def _three_numbers_are_of_volumes(cls, words: Any) -> Any:
        """Sizes and axes that only volumes have say that there are three, where nothing else does."""
        if not isinstance(words, dict):
            return words
        sections = {name: part if isinstance(part, dict) else {} for name, part in words.items()}
        network, augmentation = sections.get("network", {}), sections.get("augmentation", {})
        sizes = [sections.get("training", {}).get(name) for name in ("patch", "final_patch")]
        sizes.append(sections.get("data", {}).get("resize"))
        flip = augmentation.get("flip")
        volumes = any(isinstance(size, list | tuple) and len(size) == 3 for size in sizes)
        volumes |= isinstance(flip, list | tuple) and 2 in flip
        if not volumes or "ndim" in network or not isinstance(words.get("network", {}), dict):
            return words
        return words | {"network": network | {"ndim": 3}}

    @model_validator(mode="after")
    def _sizes_suit_the_axes(self) -> Self:
        sizes = {
            "training.patch": self.training.patch,
            "training.final_patch": self.training.final_patch,
            "data.resize": self.data.resize or (),
        }
        for name, size in sizes.items():
            if size and len(size) != self.network.ndim:
                raise ValueError(f"{name} needs {self.network.ndim} numbers, one per spatial axis, not {len(size)}")
        return self

    @model_validator(mode="after")
    def _variations_suit_the_axes(self) -> Self:
        augmentation, ndim = self.augmentation, self.network.ndim
        if augmentation is None:
            return self
        if augmentation.slices is not None and ndim == 2:
            raise ValueError("augmentation.slices is for networks of volumes (network.ndim 3)")
        if not isinstance(augmentation.flip, bool) and any(axis >= ndim for axis in augmentation.flip):
            raise ValueError(f"augmentation.flip needs axes below {ndim}, not {shown(augmentation.flip)}")
        return self

    @model_validator(mode="after")
    def _sides_suit_the_levels(self) -> Self:
        network, levels = self.network, len(self.network.widths)
        try:
            by_level(network.kernels, levels, network.ndim, "network.kernels")
            by_level(network.strides, levels - 1, network.ndim, "network.strides")
        except UlnaError as error:
            raise ValueError(f"{error.where} {error.what}") from None
        blocks = len(network.encoder_blocks)
        if 0 < blocks < levels:
            raise ValueError(f"network.encoder_blocks needs numbers for {levels} levels, not {blocks}")
        if blocks and (network.residual or network.padding == "valid"):
            raise ValueError("network.encoder_blocks is residual by itself: it needs residual: false and padding: same")
        if network.deep_supervision and levels < MIN_SUPERVISED:
            raise ValueError(f"network.deep_supervision needs at least {MIN_SUPERVISED} levels, not {levels}")
        if network.deep_supervision and (network.padding == "valid" or self.task.border_weight):
            raise ValueError("network.deep_supervision needs padding: same and task.border_weight: 0")
        return self

    @model_validator(mode="after")
    def _devices_suit_the_norm(self) -> Self:
        if self.training.devices > 1 and self.network.norm == "batch":
            raise ValueError(
                "training.devices must be 1 with network.norm: batch, whose statistics are those of the whole batch"
            )
        return self

    @model_validator(mode="after")
    def _mirrored_as_trained(self) -> Self:
        if self.inference.mirror and not (self.augmentation and self.augmentation.flip):
            raise ValueError("inference.mirror needs augmentation.flip: the network must have seen mirrored images")
        return self

    @classmethod
    def parse(cls, words: dict[str, Any], *, where: object = "configuration") -> Config:
        """Check a nested dictionary and make it a `Config`.

        Parameters
        ----------
        words
            Sections and their settings, as a YAML file has them.
        where
            What errors name.

        Returns
        -------
        Config
            What is left out has its default.

        Raises
        ------
        UlnaError
            For unknown settings and values, all of them at once.

        Examples
        --------
        >>> ulna.Config.parse({"training": {"seed": 3}}).training.seed
        3
        """
        try:
            return cls.model_validate(words)
        except ValidationError as error:
            lines = [_plain(fault) for fault in error.errors()]
            raise UlnaError("\n".join(lines), where=where) from None

    def changed(self, changes: dict[str, Any], *, where: object = "configuration") -> Config:
        """A copy with some settings changed.

        Parameters
        ----------
        changes
            Values by dotted keys: `{"training.batch_size": 8}`.
        where
            What errors name.

        Returns
        -------
        Config
            The copy.

        Raises
        ------
        UlnaError
            For unknown settings and values; the nearest name is given.
        """
        words = self.model_dump(exclude_unset=True)
        for key, value in changes.items():
            _check_key(key, where)
            *sections, last = key.split(".")
            place: Any = words
            for section in sections:
                if place.get(section) is None:  # a section that is switched off begins anew from its defaults
                    place[section] = {}
                place = place[section]
            place[last] = value
        return Config.parse(words, where=where)

    def given(self) -> dict[str, Any]:
        """What was set by a preset, a file or a user.

        Returns
        -------
        dict
            Values by dotted keys; what is left out has its default.

        Examples
        --------
        >>> ulna.Config.parse({"training": {"seed": 3}}).given()
        {'training.seed': 3}
        """
        return dotted(self.model_dump(exclude_unset=True))


def dotted(words: dict[str, Any], before: str = "") -> dict[str, Any]:
    """Nested sections as dotted keys; a setting whose value is a mapping stays whole."""
    flat: dict[str, Any] = {}
    for key, value in words.items():
        section = isinstance(value, dict) and f"{before}{key}" not in _names()
        flat |= dotted(value, f"{before}{key}.") if section else {f"{before}{key}": value}
    return flat


@cache
def _names() -> frozenset[str]:
    """The dotted keys of all settings."""
    return frozenset(key for key, _ in descriptions())


def _check_key(key: str, where: object) -> None:
    """Raise UlnaError for a key that is not among the settings, and name the nearest."""
    *sections, last = key.split(".")
    place: type[BaseModel] | None = Config
    for section in sections:
        _known(section, place, key, where)
        place = _section(place.model_fields[section].annotation) if place else None
    _known(last, place, key, where)


def _known(name: str, place: type[BaseModel] | None, key: str, where: object) -> None:
    if place is None or name not in place.model_fields:
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
    keys = [key for key, _ in descriptions()]
    last = key.rpartition(".")[2]
    named = [known for known in keys if known.rpartition(".")[2] == last]
    close = named or difflib.get_close_matches(key, keys, n=1, cutoff=0.7)
    if close:
        return f" Did you mean '{close[0]}'?"
    section = key.partition(".")[0]
    return nearest(last, [known for known in keys if known.startswith(f"{section}.")] or Config.model_fields)


def descriptions(model: type[BaseModel] | None = None, before: str = "") -> Iterator[tuple[str, str]]:
    """Every setting as a dotted key, with its description, in the order of the configuration."""
    for name, field in (model or Config).model_fields.items():
        section = _section(field.annotation)
        if section is None:
            yield before + name, field.description or ""
        else:
            yield from descriptions(section, f"{before}{name}.")


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
        return f"{key} {said}, not {shown(fault['input'])}" if key else said
    said = fault["msg"].partition(", unable to")[0].replace("Input should be", "must be").partition(" or instance")[0]
    if fault["type"] == "too_short":
        said = f"needs at least {fault['ctx']['min_length']} numbers"
    said = said.replace("valid dictionary", "section with settings of its own").replace("valid tuple", "list")
    return f"{key or 'this'} {said[:1].lower()}{said[1:]}, not {shown(fault['input'])}"

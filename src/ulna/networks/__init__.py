"""Networks: plain `torch.nn.Module`s that know nothing of files or training."""

from __future__ import annotations

from torch import nn

from ulna.config import NetworkConfig
from ulna.errors import UlnaError
from ulna.networks.fcn import FCN8
from ulna.networks.geometry import AxisGeometry, Geometry, geometry
from ulna.networks.norm import InstanceNorm, Statistics, measure_statistics, with_statistics
from ulna.networks.unet import UNet

__all__ = [
    "FCN8",
    "AxisGeometry",
    "Geometry",
    "InstanceNorm",
    "Statistics",
    "UNet",
    "build",
    "geometry",
    "measure_statistics",
    "with_statistics",
]


def build(config: NetworkConfig, channels: int, outputs: int) -> nn.Module:
    """The network of a configuration.

    Parameters
    ----------
    config
        The section `network`.
    channels
        Of the images.
    outputs
        Of the network: as the task needs them.

    Returns
    -------
    Module
        (N, channels, *spatial) → logits (N, outputs, *spatial).

    Raises
    ------
    UlnaError
        For settings that the chosen network does not have.
    """
    if config.name == "unet":
        return UNet(channels, outputs, **config.model_dump(exclude={"name"}))
    fixed: dict[str, object] = {
        "kernels": 3,
        "strides": 2,
        "padding": "same",
        "upsampling": "transposed",
        "residual": False,
        "encoder_blocks": (),
        "deep_supervision": False,
        "bias": False,
        "dropout_kind": "values",
        "dropout_place": "end",
        "initialization": "he",
    }
    if config.dropout:
        fixed["dropout_levels"] = "bottom"
    for key, value in fixed.items():
        if getattr(config, key) != value:
            raise UlnaError(
                f"fcn8 cannot do '{getattr(config, key)}'",
                where=f"network.{key}",
                hint=f"Set it to '{value}'.",
            )
    return FCN8(channels, outputs, **config.model_dump(include={"ndim", "widths", "norm", "dropout"}))

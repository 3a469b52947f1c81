"""Networks: plain `torch.nn.Module`s that know nothing of files or training."""

from __future__ import annotations

from torch import nn

from ulna.config import NetworkConfig
from ulna.network.geometry import Geometry, geometry
from ulna.network.norm import InstanceNorm, frozen_statistics
from ulna.network.unet import UNet

__all__ = ["Geometry", "InstanceNorm", "UNet", "build", "frozen_statistics", "geometry"]


def build(config: NetworkConfig, channels: int, outputs: int) -> nn.Module:
    """The network of a configuration: (N, channels, *spatial) → logits (N, outputs, *spatial)."""
    return UNet(channels, outputs, **config.model_dump(exclude={"name"}))

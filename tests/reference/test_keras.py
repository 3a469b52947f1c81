"""The preset 'tutorial' against the same network built in Keras, with the weights copied over."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ulna.networks import build
from ulna.preset import load_preset


def test_the_tutorials_network_is_keras_own(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = build(load_preset("tutorial").network, 3, 1).eval()
    for weight in network.parameters():
        if weight.ndim == 1:
            nn.init.normal_(weight, std=0.1)  # biases are zero at first, which would hide a mistake
    images = torch.rand(2, 3, 128, 128)
    with torch.no_grad():
        ours = network(images).sigmoid().permute(0, 2, 3, 1).numpy()

    order = [*network.down, *reversed(network.join)]  # Keras' weights go from the input to the output
    layers = [layer for block in order for layer in (block.conv1, block.conv2)] + [network.head]
    weights = [w for layer in layers for w in (layer.weight.permute(2, 3, 1, 0), layer.bias)]
    given, answer = tmp_path / "weights.npz", tmp_path / "output.npz"
    np.savez(
        given,
        images=images.permute(0, 2, 3, 1).numpy(),
        **{f"w{n}": weight.detach().numpy() for n, weight in enumerate(weights)},
    )
    script = Path(__file__).with_name("keras_unet.py")
    surroundings = {**os.environ, "KERAS_BACKEND": "torch", "KERAS_HOME": str(tmp_path)}
    subprocess.run([sys.executable, script, given, answer], env=surroundings, check=True, timeout=300)

    theirs = np.load(answer)
    assert theirs["parameters"] == 1_962_625
    assert theirs["output"].std() > 0.001
    np.testing.assert_allclose(ours, theirs["output"], atol=1e-5, rtol=0)

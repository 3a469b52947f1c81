"""The tutorial's network and recipe in Keras, written anew. Runs in the baseline's environment."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers

WIDTHS = (16, 32, 64, 128, 256)


def tutorial_network(*, size: int = 128, jit: bool = False, widths: Sequence[int] = WIDTHS) -> keras.Model:
    """The compiled network, of 1,962,625 parameters with its own widths: Adam, binary cross-entropy."""
    inputs = x = keras.Input((size, size, 3))
    skips = []
    for width in widths[:-1]:
        x = _two_convolutions(x, width)
        skips.append(x)
        x = layers.MaxPooling2D()(x)
    x = _two_convolutions(x, widths[-1])
    for width, skip in zip(reversed(widths[:-1]), reversed(skips), strict=True):
        x = layers.Concatenate()([layers.UpSampling2D()(x), skip])
        x = _two_convolutions(x, width)
    outputs = layers.Conv2D(1, 1, activation="sigmoid", dtype="float32")(x)
    model = keras.Model(inputs, outputs)
    model.compile(optimizer="adam", loss="binary_crossentropy", jit_compile=jit)
    return model


def _two_convolutions(x: keras.KerasTensor, width: int) -> keras.KerasTensor:
    for _ in range(2):
        x = layers.Conv2D(width, 3, padding="same", activation="relu")(x)
    return x

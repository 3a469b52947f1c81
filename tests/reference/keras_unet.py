"""The tutorial's U-Net as Keras users write it; run on its own: weights.npz in, output.npz out."""

from __future__ import annotations

import sys

import keras
import numpy as np
from keras import layers


def convolutions(x: object, width: int) -> object:
    x = layers.Conv2D(width, 3, padding="same", activation="relu")(x)
    return layers.Conv2D(width, 3, padding="same", activation="relu")(x)


def unet(size: int, widths: tuple[int, ...]) -> keras.Model:
    inputs = x = layers.Input((size, size, 3))
    skips = []
    for width in widths[:-1]:
        x = convolutions(x, width)
        skips.append(x)
        x = layers.MaxPooling2D(2)(x)
    x = convolutions(x, widths[-1])
    for width, skip in zip(reversed(widths[:-1]), reversed(skips), strict=True):
        x = layers.Concatenate()([layers.UpSampling2D(2)(x), skip])
        x = convolutions(x, width)
    return keras.Model(inputs, layers.Conv2D(1, 1, activation="sigmoid")(x))


given = np.load(sys.argv[1])
model = unet(given["images"].shape[1], (16, 32, 64, 128, 256))
model.set_weights([given[f"w{n}"] for n in range(len(given.files) - 1)])
np.savez(sys.argv[2], output=model.predict(given["images"], verbose=0), parameters=model.count_params())

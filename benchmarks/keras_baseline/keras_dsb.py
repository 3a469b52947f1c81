"""Child of `dsb.py`: trains the tutorial's network by its own recipe.

Words: data.npz out.npz epochs minutes seed.
`data.npz` holds train_images (N, 128, 128, 3) and train_masks (N, 128, 128, 1), uint8 0-255, and test_images;
`out.npz` gets probabilities (M, 128, 128), the epochs done and the seconds of training. Of `epochs` and
`minutes` one is 0; minutes count from the start of this process, its imports included.
"""

from __future__ import annotations

import sys
import time

BEGAN = time.monotonic()

import keras  # noqa: E402 - the clock runs first
import numpy as np  # noqa: E402
from keras_network import tutorial_network  # noqa: E402

BATCH = 8


class Deadline(keras.callbacks.Callback):
    """Stops when the time is over, and counts epochs."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds
        self.epochs = 0.0

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        """Stop within an epoch too."""
        self.epochs += 1 / self.params["steps"]
        if time.monotonic() - BEGAN > self.seconds:
            self.model.stop_training = True


data_path, out_path, epochs, minutes, seed = sys.argv[1:]
data = np.load(data_path)
images = data["train_images"].astype(np.float32) / 255
masks = data["train_masks"].astype(np.float32) / 255
keras.utils.set_random_seed(int(seed))
model = tutorial_network(size=images.shape[1])
deadline = Deadline(float(minutes) * 60 or float("inf"))
began = time.monotonic()
most = int(epochs) or 100_000
while deadline.epochs < most - 1e-6 and time.monotonic() - BEGAN < deadline.seconds:
    model.fit(images, masks, batch_size=BATCH, epochs=1, verbose=2, callbacks=[deadline])
seconds = time.monotonic() - began
probabilities = model.predict(data["test_images"].astype(np.float32) / 255, batch_size=BATCH, verbose=0)
np.savez(out_path, probabilities=probabilities[..., 0], epochs=deadline.epochs, seconds=seconds)

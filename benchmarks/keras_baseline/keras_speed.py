"""Child of `speed.py`: training steps of the tutorial's network in Keras. Words: plain | jit | bf16."""

from __future__ import annotations

import sys
import time

import keras
import numpy as np
import tensorflow as tf
from keras_network import tutorial_network
from pipe import serve

BATCH, SIZE = 8, 128


class DeadlineKeeper(keras.callbacks.Callback):
    """Seconds from the beginning of an epoch to its end, without what `fit` does around it."""

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        """Start."""
        self.began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        """Stop."""
        self.seconds = time.perf_counter() - self.began


how = sys.argv[1]
if how == "bf16":
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
keras.utils.set_random_seed(0)
model = tutorial_network(size=SIZE, jit=how == "jit")
generator = np.random.default_rng(0)
images = generator.random((BATCH * 8, SIZE, SIZE, 3), np.float32)
masks = (generator.random((BATCH * 8, SIZE, SIZE, 1)) > 0.8).astype(np.float32)


def measure(steps: int) -> float:
    """Seconds of so many steps of `model.fit`, from arrays in memory."""
    clock = DeadlineKeeper()
    rows = np.arange(BATCH * steps) % len(images)
    model.fit(images[rows], masks[rows], batch_size=BATCH, epochs=1, verbose=0, callbacks=[clock])
    return clock.seconds


serve(
    measure,
    version=f"TensorFlow {tf.__version__}, Keras {keras.__version__}",
    parameters=model.count_params(),
)

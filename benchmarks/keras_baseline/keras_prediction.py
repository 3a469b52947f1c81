"""Child of `image_prediction.py`: Keras' `predict` from files to files. Words: folder | least width | plain or bf16."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras_network import tutorial_network
from PIL import Image
from pipe import serve

BATCH = 8

folder, width, how = sys.argv[1:]
if how == "bf16":
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
keras.utils.set_random_seed(0)
images = sorted(Path(folder).iterdir())
with Image.open(images[0]) as one:
    model = tutorial_network(size=one.width, widths=tuple(int(width) << level for level in range(5)))


def measure(count: int) -> dict[str, float]:
    """Seconds of the masks of so many files."""
    with tempfile.TemporaryDirectory() as out:
        began = time.perf_counter()
        arrays = np.stack([np.asarray(Image.open(path), np.float32) / 255 for path in images[:count]])
        found = model.predict(arrays, batch_size=BATCH, verbose=0)[..., 0] > 0.5
        for path, mask in zip(images, found, strict=False):
            Image.fromarray(mask.astype(np.uint8) * 255).save(Path(out) / path.name)
        return {"seconds": time.perf_counter() - began}


serve(measure, warm=BATCH, version=f"TensorFlow {tf.__version__}, Keras {keras.__version__}")

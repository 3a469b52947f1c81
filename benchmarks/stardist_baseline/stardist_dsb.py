"""Child of `quality.py stardist`: trains StarDist by its own documentation and predicts labels.

Words: data.npz out.npz minutes seed.
`data.npz` holds train_image_i (Y, X) float32 and train_labels_i (Y, X) integers, valid_image_i and valid_labels_i
of the same kinds, and test_image_i; `out.npz` gets labels_i of the test images, and what was measured. As in StarDist's
notebooks for 2D nuclei: percentiles 1 and 99.8, holes filled, 32 rays on a grid of 2×2, flips, quarter turns,
intensities and noise; the weights of the best validation loss; both thresholds optimized on the validation images.
Minutes count from the start of this process to the end of training; the thresholds come after.
"""

from __future__ import annotations

import resource
import sys
import time

BEGAN = time.monotonic()

import keras  # noqa: E402 - the clock runs first
import numpy as np  # noqa: E402
from csbdeep.utils import normalize  # noqa: E402
from stardist import fill_label_holes  # noqa: E402
from stardist.models import Config2D, StarDist2D  # noqa: E402


class Deadline(keras.callbacks.Callback):
    """Stops when the time is over, and counts steps."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds
        self.steps = 0

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        """Stop within an epoch too."""
        self.steps += 1
        if time.monotonic() - BEGAN > self.seconds:
            self.model.stop_training = True


def augmented(image: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """StarDist's example: flips and quarter turns, a linear change of intensities, noise."""
    turns, flips = RNG.integers(4), RNG.integers(2, size=2)
    image, labels = (np.rot90(one, turns) for one in (image, labels))
    for axis in np.flatnonzero(flips):
        image, labels = (np.flip(one, axis) for one in (image, labels))
    image = image * RNG.uniform(0.6, 2) + RNG.uniform(-0.2, 0.2)
    return image + 0.02 * RNG.uniform(0, 1) * RNG.normal(size=image.shape), labels


def taken(data: dict[str, np.ndarray], name: str) -> list[np.ndarray]:
    """The arrays of one list, in their order."""
    return [data[f"{name}_{number}"] for number in range(sum(key.startswith(f"{name}_") for key in data))]


data_path, out_path, minutes, seed = sys.argv[1:]
data = dict(np.load(data_path))
RNG = np.random.default_rng(int(seed))
parts = ("train", "valid", "test")
images = {part: [normalize(one, 1, 99.8) for one in taken(data, f"{part}_image")] for part in parts}
truth = {part: [fill_label_holes(one) for one in taken(data, f"{part}_labels")] for part in ("train", "valid")}
keras.utils.set_random_seed(int(seed))
config = Config2D(n_rays=32, grid=(2, 2), n_channel_in=1, use_gpu=False, train_tensorboard=False)
model = StarDist2D(config, name="stardist", basedir=out_path + ".models")
model.prepare_for_training()
deadline = Deadline(float(minutes) * 60)
model.callbacks.append(deadline)
began = time.monotonic()
held_out = images["valid"], truth["valid"]
model.train(images["train"], truth["train"], validation_data=held_out, augmenter=augmented, seed=int(seed))
trained = time.monotonic()
model.optimize_thresholds(*held_out)
tuned = time.monotonic()
labels = [model.predict_instances(one)[0].astype(np.int32) for one in images["test"]]
predicted = time.monotonic()
np.savez(
    out_path,
    **{f"labels_{number}": one for number, one in enumerate(labels)},
    steps=deadline.steps,
    batch=config.train_batch_size,
    training=trained - began,
    thresholds=tuned - trained,
    prediction=predicted - tuned,
    memory=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
)

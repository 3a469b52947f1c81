"""What is learned of a few made objects, and what is decoded from a made answer, as it was."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from golden_values import Golden
from ulna.tasks.decoding import Decoding, Example, decode, fit
from ulna.tasks.targets import border_weights, distances, neighbor_distances


def objects() -> np.ndarray:
    y, x = np.mgrid[:40, :50]
    made = np.zeros((40, 50), np.int32)
    for number, (row, column, radius) in enumerate([(10, 10, 8), (10, 24, 8), (27, 16, 10), (33, 36, 11)], start=1):
        made[(y - row) ** 2 + (x - column) ** 2 <= radius**2] = 2 * number
    return made


def test_what_is_learned_of_objects(golden: Golden) -> None:
    flat, deep = objects(), np.stack([objects()[::2, ::2]] * 3 + [objects()[1::2, ::2]])
    found = {}
    for name, numbers, spacing in (("flat", flat, None), ("oblong", flat, (0.5, 2.0)), ("deep", deep, (3.0, 1.0, 1.0))):
        found |= {
            f"{name}: distances": distances(numbers, spacing).ravel()[::41],
            f"{name}: neighbors": neighbor_distances(numbers, spacing).ravel()[::41],
            f"{name}: borders": border_weights(numbers, spacing=spacing).ravel()[::41],
        }
    found["wide borders"] = border_weights(flat, w0=3, sigma=9).ravel()[::41]
    golden.check("targets", found)


def answer() -> tuple[np.ndarray, np.ndarray]:
    truth = objects()
    wave = np.sin(np.arange(2000).reshape(40, 50) * 0.11).astype(np.float32)
    probability = ndimage.gaussian_filter((truth > 0).astype(np.float32), 1.5) + 0.05 * wave
    distance = ndimage.gaussian_filter(distances(truth), 1) + 0.15 * wave
    return probability.astype(np.float32), distance.astype(np.float32)


def test_what_is_decoded(golden: Golden) -> None:
    probability, distance = answer()
    constants = {
        "default": Decoding(),
        "low": Decoding(foreground=0.3, seed=0.2, holes=True),
        "deep": Decoding(seed=0.3, depth=0.1),
        "deeper": Decoding(seed=0.3, depth=0.3, smallest=60),
    }
    found = {name: decode(probability, distance, one) for name, one in constants.items()}
    example = Example(probability, distance, objects())
    known = np.bincount(objects().ravel())[2::2]
    golden.check(
        "decoding",
        {name: [int(numbers.max()), np.bincount(numbers.ravel()), numbers[10, ::3]] for name, numbers in found.items()}
        | {"fitted": fit([example], known, holed=0), "fitted with holes": fit([example], known, holed=1)},
    )

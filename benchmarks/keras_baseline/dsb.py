"""The tutorial's Keras network and recipe on the Data Science Bowl; `quality.py keras` scores what it predicts.

Trained on images resized to 128×128 and divided by 255 as the tutorial does (each nucleus mask resized by
itself, then their maximum); predicted at 128×128, resized back to each image's own size, cut at 0.5.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from ulna.dataset import Case, load_image
from ulna.formats import write
from ulna.image import Image
from ulna.truth import load_truth

SIZE = 128
CHILD = Path(__file__).parent / "keras_dsb.py"


def predict_masks(
    python: Path, train: Sequence[Case], test: Sequence[Case], place: Path, *, epochs: int, minutes: float, seed: int
) -> Path:
    """Train by `epochs` or `minutes` (the other is 0) with the interpreter `python`; the folder of masks."""
    data, out, masks = place / "data.npz", place / "out.npz", place / "masks"
    images = [np.stack([_image(case) for case in part]) for part in (train, test)]
    truths = np.stack([_mask(load_truth(case).array[0]) for case in train])[..., None]
    np.savez(data, train_images=images[0], train_masks=truths, test_images=images[1])
    subprocess.run([str(word) for word in (python, CHILD, data, out, epochs, minutes, seed)], check=True)
    masks.mkdir()
    with np.load(out) as arrays:
        print(f"{float(arrays['epochs']):.1f} epochs in {float(arrays['seconds']):.0f} s of training")
        for case, probability in zip(test, arrays["probabilities"], strict=True):
            shape = load_truth(case).array.shape[1:]
            mask = _resized(probability[None].astype(np.float32), shape) > 0.5
            write(masks / f"{case.name}.png", Image(mask.astype(np.uint8) * 255))
    return masks


def _image(case: Case) -> np.ndarray:
    """(128, 128, 3) uint8: bilinear without smoothing, as OpenCV's default resize."""
    array = load_image(case).array
    array = array[:3] if array.shape[0] >= 3 else np.repeat(array[:1], 3, axis=0)
    return _resized(array.astype(np.float32), (SIZE, SIZE)).round().astype(np.uint8).transpose(1, 2, 0)


def _mask(labels: np.ndarray) -> np.ndarray:
    """(128, 128) uint8 0-255: each nucleus resized by itself, then the largest value."""
    largest = np.zeros((SIZE, SIZE), np.float32)
    for label in np.unique(labels[labels > 0]):
        np.maximum(largest, _resized((labels == label)[None].astype(np.float32), (SIZE, SIZE))[0], out=largest)
    return (largest * 255).round().astype(np.uint8)


def _resized(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    tensor = torch.from_numpy(array)[None]
    return F.interpolate(tensor, shape, mode="bilinear", align_corners=False)[0].numpy()

"""Tiny data sets, drawn of whole numbers only, whose complete outputs are kept as golden texts."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ulna.formats import write
from ulna.image import Array, Channel, Grid, Image

SHAPE = (48, 64)


def save(path: Path, array: Array, grid: Grid | None = None, names: tuple[str, ...] = ()) -> None:
    """Write an array with or without channels in front."""
    ndim = len(grid.shape) if grid else 2
    pixels = array if array.ndim > ndim else array[None]
    write(path, Image(pixels, grid or Grid(pixels.shape[1:]), tuple(Channel(name) for name in names)))


def squares(seed: int, *, classes: int = 1, shape: tuple[int, ...] = SHAPE, step: int = 16) -> tuple[Array, Array]:
    """Squares apart from each other: their numbers from 1 on, and the class of each pixel."""
    draw = np.random.default_rng(seed)
    numbers, of_class = np.zeros(shape, np.uint16), np.zeros(shape, np.uint8)
    for corner in np.ndindex(*(side // step for side in shape)):
        if draw.random() < 0.3:
            continue
        low = [step * place + int(draw.integers(0, 4)) for place in corner]
        place = tuple(slice(start, start + int(draw.integers(5, step - 4))) for start in low)
        numbers[place] = numbers.max() + 1
        of_class[place] = draw.integers(1, classes + 1)
    return numbers, of_class


def picture(of_class: Array, seed: int, *, channels: int = 1) -> Array:
    """A noisy picture of classes, (C, *spatial) uint8."""
    noise = np.random.default_rng((seed, 1)).integers(0, 40, (channels, *of_class.shape))
    tint = np.arange(1, channels + 1).reshape(-1, *(1,) * of_class.ndim)
    return (noise + 60 * of_class // tint + 10).astype(np.uint8)


def binary(root: Path) -> Path:
    """Three images of each of six patients; predictions are shifted by a pixel, and one image has none of its own."""
    for index in range(18):
        name = f"patient{index // 3:02d}_{index % 3}"
        _, mask = squares(index)
        save(root / f"data/images/{name}.png", picture(mask, index))
        save(root / f"data/masks/{name}.png", mask * 255)
        save(root / f"predicted/{name}.png", np.roll(mask, 1, axis=index % 2) * 255)
    return root


def classes(root: Path) -> Path:
    """A ready-made split of color images of two sizes; three classes, the rarest in the test part only; 255 is none."""
    for index in range(12):
        shape = SHAPE if index % 4 else (64, 64)
        part = "train" if index < 8 else "test"
        _, mask = squares(index, classes=2, shape=shape)
        if index == 9:
            mask[:2, :3] = 3
        mask[-3:] = 255
        if index == 5:
            mask[mask == 1] = 0
        save(root / f"data/{part}/images/s{index:02d}.png", picture(mask % 4, index, channels=3))
        save(root / f"data/{part}/masks/s{index:02d}.png", mask)
        guess = np.where(mask == 255, 0, np.roll(mask, 2, axis=0) % 255)
        save(root / f"predicted/s{index:02d}.png", guess.astype(np.uint8))
    save(root / "predicted/nobody.png", guess.astype(np.uint8))
    return root


def objects(root: Path) -> Path:
    """Numbered objects of two classes, listed; predictions merge two, split one, miss one, and invent one."""
    lines, guesses = ["image,object,class"], ["image,object,class,score"]
    for index in range(6):
        numbers, _ = squares(index)
        name = f"n{index}"
        guess = numbers.copy()
        if index % 2:
            guess[guess == 3] = 1
            guess[guess == 2] = 0
        else:
            half = np.cumsum(guess == 1).reshape(guess.shape) * 2 > np.count_nonzero(guess == 1)
            guess[(guess == 1) & half] = 101
            guess[-4:, -6:] = 102
        for table, mask in ((lines, numbers), (guesses, guess)):
            for number in np.unique(mask[mask > 0]):
                own = ("cell", "debris")[int(number) % 2]
                table.append(f"{name},{number},{own}" + (",0.5" if table is guesses else ""))
        grid = Grid(SHAPE, (0.5, 0.5), "µm")
        save(root / f"data/images/{name}.tif", picture(numbers > 0, index, channels=2), grid, ("dapi", "gfp"))
        save(root / f"data/masks/{name}.tif", numbers, grid)
        save(root / f"predicted/{name}.tif", guess, grid)
    (root / "data/masks/objects.csv").write_text("\n".join(lines) + "\n")
    (root / "predicted/objects.csv").write_text("\n".join(guesses) + "\n")
    return root


def volumes(root: Path) -> Path:
    """Volumes with voxels that are not cubes."""
    for index in range(3):
        numbers, of_class = squares(index, shape=(16, 32, 32))
        grid = Grid((16, 32, 32), (2.0, 0.5, 0.5), "µm")
        save(root / f"data/images/v{index}.tif", picture(of_class, index).astype(np.int16) - 20, grid)
        save(root / f"data/labels/v{index}.tif", of_class, grid)
        save(root / f"numbers/v{index}.tif", numbers, grid)
        save(root / f"predicted/v{index}.tif", np.roll(of_class, 1, axis=0), grid)
    return root


def files(root: Path) -> Path:
    """A file of each class, where one lies within the other, or overlaps with it."""
    for index in range(4):
        _, outer = squares(index)
        inner = outer.copy()
        inner[:, ::2] = 0
        if index == 3:
            inner[40:44] = 1
        save(root / f"data/images/f{index}.png", picture(outer + inner, index))
        save(root / f"data/masks/cell/f{index}.png", outer * 255)
        save(root / f"data/masks/nucleus/f{index}.png", inner * 255)
    return root


def single(root: Path) -> Path:
    """A file of each object: some overlap, one is empty."""
    for index in range(3):
        numbers, of_class = squares(index)
        for number in range(1, int(numbers.max()) + 1):
            mask = numbers == number
            if number == 2:
                mask |= np.roll(numbers == 1, 2, axis=0)
            if (index, number) == (1, 4):
                mask[:] = False
            save(root / f"data/i{index}/masks/{number}.png", mask.astype(np.uint8) * 255)
        save(root / f"data/i{index}/images/i{index}.png", picture(of_class, index))
    return root


def faulty(root: Path) -> Path:
    """One fault a case."""
    for index in range(9):
        _, mask = squares(index)
        save(root / f"data/images/ok{index}.png", picture(mask, index))
        save(root / f"data/masks/ok{index}.png", mask * 255)
    _, mask = squares(20)
    image = picture(mask, 20)
    for name, pixels, truth in (
        ("no_mask", image, None),
        ("no_image", None, mask),
        ("small_mask", picture(mask, 21), mask[:30]),
        ("empty", picture(mask, 22), mask * 0),
        ("full", picture(mask, 23), mask * 0 + 1),
        ("flat", np.full((1, *SHAPE), 7, np.uint8), mask),
        ("deep", picture(mask, 24).astype(np.uint16) * 9, mask),
        ("color", picture(mask, 25, channels=3), mask),
        ("copy", picture(squares(3)[1], 3), np.flip(mask, 0)),
        ("tile_0", np.concatenate([image, picture(mask, 26)], 2), np.concatenate([mask, mask], 1)),
        ("tile_1", np.concatenate([picture(mask, 26), picture(mask, 27)], 2), np.concatenate([mask, mask], 1)),
    ):
        if pixels is not None:
            save(root / f"data/images/{name}.png", pixels)
        if truth is not None:
            save(root / f"data/masks/{name}.png", truth * np.uint8(255))
    broken = root / "data/images/ok8.png"
    broken.write_bytes(broken.read_bytes()[:200])
    return root

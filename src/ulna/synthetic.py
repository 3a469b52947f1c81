"""Simulated images with the truth, for the demonstration, the notebooks and tests.

`cells`: fluorescence microscopy of nuclei. Every image draws its own magnification, density, focus and light; nuclei
vary in size, shape, brightness and texture, lie alone or touch in clumps, some out of focus; the background is uneven,
with stray light near bright nuclei; the camera counts photons (Poisson) and adds the noise of its electronics
(Gaussian).

`organs`: magnetic resonance of an abdomen. Every volume draws a body and in it a large organ, which is to be found, and
smaller ones, one nearly as bright; tissue is textured, the coils see unevenly, and the noise is that of a magnitude
(Rician).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from ulna import formats
from ulna.errors import UlnaError
from ulna.image import Array, Grid, Image

FULL = 255
"""The brightest value of the camera."""

SHARP = 0.8
"""Standard deviation of the microscope's blur at focus, in pixels."""


@dataclass(frozen=True)
class Nucleus:
    """One nucleus.

    Parameters
    ----------
    center
        Pixels.
    radii
        Along each of its own axes, pixels.
    turn
        The rotation matrix of these axes.
    brightness
        Share of the camera's range.
    blur
        Standard deviation of its blur, pixels: how far it is out of focus.
    """

    center: Array
    radii: Array
    turn: Array
    brightness: float
    blur: float


def cells(count: int, size: Sequence[int] = (256, 256), *, seed: int = 0) -> list[tuple[Array, Array]]:
    """Simulate images of nuclei with their labels.

    Parameters
    ----------
    count
        How many.
    size
        Two numbers for images, three for volumes.
    seed
        Image n of a seed is the same whatever `count` is.

    Returns
    -------
    list of (image, labels)
        (1, *size) uint8 and (1, *size) int32; labels count the nuclei from 1, the background is 0.

    Raises
    ------
    UlnaError
        For another number of axes, an empty size, and a negative seed.

    Examples
    --------
    >>> ((image, labels),) = cells(1, (64, 64))
    >>> image.shape, bool(labels.max() > 0)
    ((1, 64, 64), True)
    """
    if len(size) not in (2, 3) or min(size) < 1:
        raise UlnaError(f"simulated images have two or three axes of at least one pixel, not {tuple(size)}")
    if seed < 0:
        raise UlnaError(f"a seed is a whole number from 0 on, not {seed}")
    return [_picture(tuple(size), np.random.default_rng((seed, n))) for n in range(count)]


def write_dataset(
    folder: str | Path,
    count: int,
    *,
    seed: int = 0,
    size: tuple[int, int] = (256, 256),
    objects: bool = False,
) -> None:
    """Write simulated images as `folder`/images/*.png with their masks as `folder`/masks/*.png.

    Parameters
    ----------
    folder
        Where to.
    count
        How many.
    seed, size
        As for `cells`.
    objects
        Whether masks are 16-bit and number the nuclei; else they are 0 and 255.

    Raises
    ------
    UlnaError
        As `cells` does, and where the files cannot be written.
    """
    for name in ("images", "masks"):
        (Path(folder) / name).mkdir(parents=True, exist_ok=True)
    digits = max(3, len(str(count - 1)))
    for n, (image, labels) in enumerate(cells(count, size, seed=seed)):
        mask = labels.astype(np.uint16) if objects else np.where(labels > 0, 255, 0).astype(np.uint8)
        name = f"cells_{n:0{digits}d}.png"
        formats.write(Path(folder) / "images" / name, Image(image))
        formats.write(Path(folder) / "masks" / name, Image(mask))


VOXEL = (3.0, 1.5, 1.5)
"""The size of voxels of simulated volumes, mm."""


def organs(count: int, size: Sequence[int] = (24, 64, 64), *, seed: int = 0) -> list[tuple[Array, Array]]:
    """Simulate volumes of an abdomen with their labels.

    Parameters
    ----------
    count
        How many.
    size
        Slices, rows and columns.
    seed
        Volume n of a seed is the same whatever `count` is.

    Returns
    -------
    list of (image, labels)
        (1, Z, Y, X) int16 and (1, Z, Y, X) uint8; 1 is the organ, 0 all else.

    Raises
    ------
    UlnaError
        For another number of axes, a side of less than 8 voxels, and a negative seed.

    Examples
    --------
    >>> ((image, labels),) = organs(1, (16, 32, 32))
    >>> image.shape, bool(0.02 < labels.mean() < 0.2)
    ((1, 16, 32, 32), True)
    """
    if len(size) != 3 or min(size) < 8:
        raise UlnaError(f"simulated volumes have three axes of at least 8 voxels, not {tuple(size)}")
    if seed < 0:
        raise UlnaError(f"a seed is a whole number from 0 on, not {seed}")
    return [_abdomen(tuple(size), np.random.default_rng((seed, n, 3))) for n in range(count)]


def write_volumes(folder: str | Path, count: int, *, seed: int = 0, size: Sequence[int] = (24, 64, 64)) -> None:
    """Write simulated volumes as `folder`/images/*.nii.gz with their masks as `folder`/labels/*.nii.gz.

    Parameters
    ----------
    folder
        Where to.
    count
        How many.
    seed, size
        As for `organs`.

    Raises
    ------
    UlnaError
        As `organs` does, and where the files cannot be written.
    """
    for name in ("images", "labels"):
        (Path(folder) / name).mkdir(parents=True, exist_ok=True)
    grid = Grid(tuple(size), VOXEL, "mm")
    for n, pair in enumerate(organs(count, size, seed=seed)):
        for name, array in zip(("images", "labels"), pair, strict=True):
            formats.write(Path(folder) / name / f"subject_{n:03d}.nii.gz", Image(array, grid))


def _abdomen(size: tuple[int, ...], generator: np.random.Generator) -> tuple[Array, Array]:
    """One volume and its labels. Places and radii are shares of half the volume, with 0 in its middle."""
    axes = np.meshgrid(*(np.linspace(-1, 1, n) for n in size), indexing="ij")
    bumps = _smooth(size, 3.0, generator)
    shift = generator.uniform(-0.15, 0.15, 3)  # of the body: nobody lies like another

    def ellipsoid(center: Sequence[float], radii: Sequence[float], bumpy: float = 0.06) -> Array:
        """Where it lies: drawn near a place and a size, turned within the slice."""
        middle = np.array(center) + shift + generator.normal(0, 0.06, 3)
        across = np.array(radii) * generator.lognormal(0, 0.15, 3)
        z, y, x = (axis - place for axis, place in zip(axes, middle, strict=True))
        angle = generator.normal(0, 0.25)
        y, x = y * np.cos(angle) - x * np.sin(angle), y * np.sin(angle) + x * np.cos(angle)
        inside = np.sqrt((z / across[0]) ** 2 + (y / across[1]) ** 2 + (x / across[2]) ** 2) + bumpy * bumps < 1
        return np.asarray(inside)

    body = ellipsoid((0, 0, 0), (3.0, 0.72, 0.88), 0.02)
    organ = ellipsoid((-0.05, -0.12, -0.38), (0.62, 0.42, 0.36)) & body
    bright = generator.uniform(0.5, 0.65)
    signal = np.where(body, 0.3, 0.0)
    for center, radii, level in (  # a spleen nearly as bright, a spine, kidneys and a vessel
        ((0.1, 0.15, 0.55), (0.4, 0.24, 0.16), 0.9 * bright),
        ((0.0, 0.48, 0.0), (3.0, 0.16, 0.16), 0.15),
        ((0.3, 0.38, -0.42), (0.3, 0.14, 0.12), 0.8),
        ((0.3, 0.38, 0.42), (0.3, 0.14, 0.12), 0.8),
        ((0.0, 0.2, 0.08), (3.0, 0.07, 0.07), 0.95),
    ):
        signal = np.where(ellipsoid(center, radii) & body & ~organ, level, signal)
    signal = np.where(organ, bright, signal) * np.clip(1 + 0.08 * _smooth(size, 1.0, generator), 0.2, None)
    coils = 1 + sum(generator.normal(0, 0.12) * axis for axis in axes)
    seen = ndimage.gaussian_filter(signal, (0.4, 0.7, 0.7), mode="nearest") * np.clip(coils, 0.4, None)
    noise = generator.uniform(0.02, 0.05)
    magnitude = np.hypot(seen + generator.normal(0, noise, size), generator.normal(0, noise, size))
    gain = generator.uniform(600, 1200)  # the gray scale of MR means nothing
    return np.rint(gain * magnitude).astype(np.int16)[None], organ.astype(np.uint8)[None]


def _picture(size: tuple[int, ...], generator: np.random.Generator) -> tuple[Array, Array]:
    """One image and its labels."""
    nuclei = _draw_nuclei(size, generator)
    labels = np.zeros(size, np.int32)
    planes: dict[float, Array] = {}  # light of the nuclei by their blur
    bumps = _smooth(size, 4.0, generator)
    texture = _smooth(size, 1.5, generator) + _smooth(size, 4.0, generator)
    for nucleus in nuclei:
        place, inside, depth = _shape(nucleus, size, bumps, labels)
        if not inside.any():
            continue
        labels[place][inside] = labels.max() + 1
        light = nucleus.brightness * (0.55 + 0.45 * depth) * np.clip(1 + 0.13 * texture[place], 0.2, None)
        plane = planes.setdefault(nucleus.blur, np.zeros(size))
        plane[place] += np.where(inside, light, 0)
    signal = np.zeros(size)
    for blur, plane in planes.items():
        signal += ndimage.gaussian_filter(plane, blur, mode="nearest")
    image = _camera(signal + _background(signal, size, generator), generator)
    return image[None], labels[None]


def _draw_nuclei(size: tuple[int, ...], generator: np.random.Generator) -> list[Nucleus]:
    """Nuclei of one image, some alone, some in clumps of up to six whose members touch."""
    ndim = len(size)
    typical = generator.uniform(6.5, 14.0)  # radius in pixels: the image's magnification
    blurs = (SHARP, SHARP * 1.6, generator.uniform(2.0, 0.3 * typical + 1.5))
    light = generator.uniform(0.2, 0.65)
    cover = generator.uniform(0.08, 0.3)  # share of the image that nuclei should cover
    ball = (math.pi if ndim == 2 else 4 / 3 * math.pi) * typical**ndim
    wanted = max(1, round(cover * math.prod(size) / ball))
    nuclei: list[Nucleus] = []
    for _ in range(20 * wanted):  # a full image refuses many
        if len(nuclei) >= wanted:
            break
        seed_place = generator.uniform(-0.5 * typical, np.array(size) + 0.5 * typical)
        for member in range(int(generator.choice([1, 1, 1, 2, 2, 3, 4, 6]))):
            radius = typical * generator.lognormal(0, 0.18)
            radii = radius * np.exp(generator.normal(0, 0.16, ndim))
            turn = np.linalg.qr(generator.normal(size=(ndim, ndim)))[0]
            step = generator.normal(size=ndim)
            step *= 1.9 * typical / np.linalg.norm(step)
            near = nuclei[-1].center if member else seed_place
            center = near + step if member else seed_place
            gaps = [np.linalg.norm(center - other.center) / (radius + other.radii.mean()) for other in nuclei]
            if gaps and min(gaps) < 0.85:
                break
            blur = float(generator.choice(blurs, p=(0.62, 0.23, 0.15)))
            brightness = light * generator.lognormal(0, 0.35) * (0.8 if blur > 2 else 1)
            nuclei.append(Nucleus(center, radii, turn, brightness, blur))
    return nuclei


def _shape(
    nucleus: Nucleus, size: tuple[int, ...], bumps: Array, taken: Array
) -> tuple[tuple[slice, ...], Array, Array]:
    """Where a nucleus lies: a box, which of its pixels are inside, and how deep (0 at the rim, 1 within).

    An ellipsoid whose rim is moved by smooth `bumps`; pixels that another nucleus has `taken` stay its own,
    and of what is left only the largest connected component counts.
    """
    reach = 1.3 * nucleus.radii.max() + 1
    low = np.clip(np.floor(nucleus.center - reach), 0, size).astype(int)
    high = np.clip(np.ceil(nucleus.center + reach) + 1, 0, size).astype(int)
    place = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    grid = np.stack(np.meshgrid(*(np.arange(s.start, s.stop) for s in place), indexing="ij"), axis=-1)
    own = (grid - nucleus.center) @ nucleus.turn / nucleus.radii
    distance = np.sqrt((own**2).sum(-1)) + 0.07 * bumps[place]
    inside = (distance < 1) & (taken[place] == 0)
    components, number = ndimage.label(inside)
    if number > 1:
        inside = components == 1 + np.argmax(np.bincount(components.ravel())[1:])
    return place, inside, np.sqrt(np.clip(1 - distance**2, 0, 1))


def _smooth(size: tuple[int, ...], sigma: float, generator: np.random.Generator) -> Array:
    """Smooth noise of standard deviation 1, whose spots are about `sigma` pixels large."""
    noise = ndimage.gaussian_filter(generator.standard_normal(size), sigma, mode="wrap")
    return np.asarray(noise / max(float(noise.std()), 1e-12))


def _background(signal: Array, size: tuple[int, ...], generator: np.random.Generator) -> Array:
    """Uneven light: a floor, a slope, a broad spot, and stray light from what is far out of focus."""
    axes = np.meshgrid(*(np.linspace(-1, 1, n) for n in size), indexing="ij")
    level = generator.uniform(0.02, 0.1)
    slope = sum(generator.normal(0, 0.3) * axis for axis in axes)
    spot = generator.uniform(-1, 1, len(size))
    away = sum((axis - middle) ** 2 for axis, middle in zip(axes, spot, strict=True))
    uneven = np.clip(1 + slope + generator.uniform(0, 1.2) * np.exp(-2 * away), 0.1, None)
    glow = ndimage.gaussian_filter(signal, 12.0, mode="nearest")
    return np.asarray(level * uneven + generator.uniform(0.05, 0.25) * glow)


def _camera(light: Array, generator: np.random.Generator) -> Array:
    """Photons counted, electronic noise added, digitized to 8 bits: uint8 of the same shape."""
    photons = generator.uniform(60, 500)  # at full range
    electronics = generator.uniform(0.004, 0.015)
    counted = generator.poisson(np.clip(light, 0, None) * photons) / photons
    noisy = counted + generator.normal(0, electronics, light.shape) + 0.02
    return np.asarray(np.clip(np.rint(FULL * noisy), 0, FULL).astype(np.uint8))

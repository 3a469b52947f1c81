from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ulna.errors import UlnaError
from ulna.networks import UNet
from ulna.training.calibration import COUNT, VALUES, _size, read_windows, write_windows


@pytest.mark.parametrize(
    ("channels", "ndim", "padding", "patch"),
    [
        (1, 2, "same", (128, 128)),
        (3, 2, "same", (250, 130)),
        (1, 3, "same", (96, 160, 160)),
        (1, 2, "valid", (300, 300)),
    ],
)
def test_windows_suit_the_network_and_are_small(channels: int, ndim: int, padding: str, patch: tuple[int, ...]) -> None:
    network = UNet(channels, 1, widths=(2, 2, 2, 2), ndim=ndim, padding=padding)
    size = _size(channels, network, patch)
    assert network.geometry().fits(size)
    assert padding == "valid" or all(side % 8 == 0 for side in size)
    assert 8 * channels * np.prod(size) <= VALUES


def test_a_run_keeps_windows_that_suit_its_network(run: Path) -> None:
    windows = read_windows(run)
    assert windows.shape == (COUNT, 1, 32, 32)
    assert windows.dtype == np.float32
    assert -1 <= windows.min() < 0.2 < windows.max() <= 3  # normalized
    assert (run / "calibration.npz").stat().st_size < 200_000


@pytest.mark.parametrize("largest", [2.5, 60000.0])
def test_numbers_come_back_as_they_were(largest: float, tmp_path: Path) -> None:
    windows = np.array([[[[0.5, largest]]]], np.float32)
    write_windows(tmp_path, windows)
    np.testing.assert_array_equal(read_windows(tmp_path), windows)


def test_a_run_without_windows_says_so(tmp_path: Path) -> None:
    with pytest.raises(UlnaError, match="keeps no windows of its training images"):
        read_windows(tmp_path)
    (tmp_path / "calibration.npz").write_bytes(b"broken")
    with pytest.raises(UlnaError, match="cannot be read"):
        read_windows(tmp_path)

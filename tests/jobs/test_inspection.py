"""What is seen while data are inspected: channels that do or do not go together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from small_data import cells
from ulna.errors import UlnaError
from ulna.jobs.check import check
from ulna.jobs.train import train


def mixed(folder: Path, first: int, second: int, *, kind: str = "stains") -> Path:
    """Twelve cases, half of them with `first` and half with `second` channels."""
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    for k in range(12):
        image, mask = cells((64, 64), k)
        count = first if k % 2 else second
        Pillow.fromarray(mask).save(folder / "masks" / f"c{k}.png")
        planes = np.stack([np.roll(image, 5 * c, axis=1) for c in range(count)])
        path = folder / "images" / f"c{k}.tif"
        if kind == "color" and count == 3:
            tifffile.imwrite(path, np.moveaxis(planes, 0, -1), photometric="rgb")
        else:
            tifffile.imwrite(path, planes.squeeze(), imagej=True, metadata={"axes": "CYX" if count > 1 else "YX"})
    return folder


@pytest.mark.parametrize(("first", "second"), [(3, 4), (1, 2), (1, 4), (2, 3), (1, 3)])
def test_mixed_channels_are_fatal_and_named(tmp_path: Path, first: int, second: int) -> None:
    data = mixed(tmp_path / "data", first, second)
    found = check(data)
    assert found.fatal
    (problem,) = [p for p in found.problems if "channels" in p.what]
    assert problem.severity == "fatal"
    assert f"{second} in 6" in problem.what
    assert f"{first} in 6" in problem.what
    assert "do not go together" in problem.what
    assert len(problem.where) == 6
    if (first, second) == (3, 4):
        with pytest.raises(UlnaError, match="cannot be trained on"):
            train(data, tmp_path / "run", epochs=1, changes={"network.widths": [4, 8]})


def test_gray_beside_color_is_repeated_and_that_is_said(tmp_path: Path) -> None:
    found = check(mixed(tmp_path / "data", 1, 3, kind="color"))
    assert not found.fatal
    (problem,) = [p for p in found.problems if "channels" in p.what]
    assert problem.severity == "warning"
    assert "the gray ones are repeated to red, green and blue" in problem.what


def test_an_alpha_that_varies_is_fatal_and_named(tmp_path: Path) -> None:
    data = mixed(tmp_path / "data", 3, 3, kind="color")
    with Pillow.open(data / "images" / "c3.tif") as picture:
        picture.putalpha(Pillow.fromarray(cells((64, 64), 50)[0]))
        picture.save(data / "images" / "c3.tif")
    found = check(data)
    assert found.fatal
    (problem,) = [p for p in found.problems if "cannot be read" in p.what]
    assert "c3: the image has a declared alpha channel" in problem.where[0]


@pytest.mark.parametrize("other", [("GFP", "DAPI"), ("DAPI", "Cy5")])
def test_channels_in_another_order_are_named(tmp_path: Path, other: tuple[str, str]) -> None:
    data = mixed(tmp_path / "data", 2, 2)
    for k in range(12):
        path = data / "images" / f"c{k}.tif"
        planes, names = tifffile.imread(path), other if k == 3 else ("DAPI", "GFP")
        tifffile.imwrite(path, planes, ome=True, metadata={"axes": "CYX", "Channel": {"Name": list(names)}})
    (problem,) = [p for p in check(data).problems if "named differently" in p.what]
    assert (problem.severity, problem.where) == ("warning", ("c3",))
    assert f"DAPI, GFP in 11 images; {', '.join(other)} in 1 image" in problem.what


def test_channels_of_the_same_names_are_nothing_to_say(tmp_path: Path) -> None:
    for kind in ("stains", "color"):
        assert not [p for p in check(mixed(tmp_path / kind, 3, 3, kind=kind)).problems if "named" in p.what]

"""Masks of Zarr folders and large TIFFs are written as they come, and are those of the same image in a small file."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from scipy import ndimage

import ulna
from command_line import CommandLine
from ulna import formats, networks, tasks
from ulna.config import Config
from ulna.dataset import Case
from ulna.errors import UlnaError
from ulna.formats import tiff_tiles
from ulna.formats.ome_zarr import writing
from ulna.image import Array, Grid, Image, Region, Source
from ulna.inference import kept, room
from ulna.jobs.by_region import made_by, made_of
from ulna.labels.classes import Classes
from ulna.layouts import find
from ulna.model import Model
from ulna.modelfile import Saved
from ulna.objectlist import read_list
from ulna.orientation import Orientation
from ulna.prediction import Prediction
from ulna.tasks import blocks


def test_a_zarr_gives_a_zarr(run: Path, image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "CHUNKS", {2: (48, 48), 3: (2, 32, 32)})
    for name in ("a.ome.zarr", "a.tif"):
        formats.write(tmp_path / "in" / name, image)
        ulna.predict(run, tmp_path / "in" / name, out=tmp_path / name, changes={"inference.tile": 32})
    expected = formats.read(Source(tmp_path / "a.tif" / "a.tif"))
    assert expected.array.any()
    with formats.open_reader(Source(tmp_path / "a.ome.zarr" / "a.zarr")) as reader:
        np.testing.assert_array_equal(reader.read(), expected.array)
        assert reader.grid == image.grid
        assert len(reader.levels) > 1
        assert set(np.unique(reader.read(level=1))) <= set(np.unique(expected.array))  # classes, and no means
    again = ulna.predict(run, tmp_path / "in" / "a.ome.zarr", out=tmp_path / "a.ome.zarr", overwrite=True)
    assert again.complete
    assert find(tmp_path / "a.ome.zarr", own=True).cases[0].name == "a"  # asked for, a mask of our own is one image


def test_a_large_tiff_gives_tiles(run: Path, image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    formats.write(tmp_path / "a.tif", image)
    ulna.predict(run, tmp_path / "a.tif", out=tmp_path / "small", changes={"inference.tile": 32})
    monkeypatch.setattr(tiff_tiles, "LARGE", 0)
    monkeypatch.setattr(tiff_tiles, "SIDE", 48)
    ulna.predict(run, tmp_path / "a.tif", out=tmp_path / "tiles", changes={"inference.tile": 32})
    small, tiles = (formats.read(Source(tmp_path / name / "a.tif")) for name in ("small", "tiles"))
    np.testing.assert_array_equal(tiles.array, small.array)
    assert tiles.grid == small.grid
    with tifffile.TiffFile(tmp_path / "tiles" / "a.tif") as tiff:
        assert tiff.pages[0].is_tiled
        assert len(tiff.series[0].levels) > 1


def pairs(one: Array, other: Array) -> Array:
    return np.unique(np.stack([one.ravel(), other.ravel()]).astype(np.int64), axis=1)


@pytest.mark.parametrize("tile", [48, 80])
def test_objects_of_a_large_image_are_those_of_the_whole(
    finder: Model, many: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tile: int
) -> None:
    formats.write(tmp_path / "a.tif", many)
    whole = ulna.predict(finder, tmp_path / "a.tif", out=tmp_path / "whole")
    monkeypatch.setitem(room.LARGE, 2, 0)
    monkeypatch.setitem(blocks.BLOCK, 2, (40, 56))
    monkeypatch.setitem(blocks.HALO, 2, 8)
    parts = ulna.predict(finder.changed({"inference.tile": tile}), tmp_path / "a.tif", out=tmp_path / "parts")
    one, other = (formats.read(Source(done.masks[0])) for done in (whole, parts))
    assert one.array.max() > 20
    assert one.grid == other.grid
    assert pairs(one.array, other.array).shape[1] == one.array.max() + 1  # one to one, the background among them
    assert other.array.max() == one.array.max()
    lists = [read_list(Source(done.folder / "objects.csv")) for done in (whole, parts)]
    scores = [sorted((object_.name, round(object_.score, 3)) for object_ in found) for found in lists]
    assert scores[0] == scores[1]
    assert sorted(path.name for path in parts.folder.iterdir()) == ["a.tif", "objects.csv", "ulna.json"]


@pytest.mark.parametrize("kind", ["classes", "objects"])
def test_a_large_image_goes_on_where_it_was_stopped(
    run: Path, finder: Model, many: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    model = finder if kind == "objects" else ulna.load(run, device="cpu").changed({"inference.engine": "torch"})
    model = model.changed({"inference.tile": 48})
    monkeypatch.setitem(room.LARGE, 2, 0)
    formats.write(tmp_path / "a.tif", many)
    expected = formats.read(Source(ulna.predict(model, tmp_path / "a.tif", out=tmp_path / "whole").masks[0]))
    put, regions = kept.Kept.put, list[Region]()

    def stop(self: kept.Kept, region: Region, array: Array) -> None:
        if len(regions) == 5:
            raise KeyboardInterrupt
        put(self, region, array)
        regions.append(region)

    monkeypatch.setattr(kept.Kept, "put", stop)
    with pytest.raises(KeyboardInterrupt):
        ulna.predict(model, tmp_path / "a.tif", out=tmp_path / "parts")
    assert not (tmp_path / "parts" / "a.tif").exists()
    after = list[Region]()
    monkeypatch.setattr(kept.Kept, "put", lambda self, region, array: (put(self, region, array), after.append(region)))
    done = ulna.predict(model, tmp_path / "a.tif", out=tmp_path / "parts")
    assert after
    assert not [region for region in after if region in regions]
    found = formats.read(Source(done.masks[0]))
    np.testing.assert_array_equal(found.array, expected.array)
    assert not (tmp_path / "parts" / ".a.tif.part-kept").exists()


def test_a_region_and_a_level_are_parts_of_the_whole(
    run: Path, many: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: CommandLine
) -> None:
    monkeypatch.setattr(tiff_tiles, "SIDE", 64)
    monkeypatch.setattr(tiff_tiles, "SMALL", 0)
    place = tmp_path / "a.ome.tif"
    with formats.create(place, many.grid, dtype=many.array.dtype, channels=many.channels) as writer:
        writer.write(None, many.array)
    words = ["--region", "16:80,32:160", "--out"]
    assert cli("predict", run, tmp_path / "a.ome.tif", *words, tmp_path / "part").code == 0
    part = formats.read(Source(tmp_path / "part" / "a.tif"))
    assert part.shape == (64, 128)
    assert part.grid == many.grid.crop((slice(16, 80), slice(32, 160)))
    cut = ulna.load(run).predict(Image(many.array[:, 16:80, 32:160]))
    np.testing.assert_array_equal(part.array, cut.to_image().array)
    assert cli("predict", run, tmp_path / "a.ome.tif", "--level", 1, "--out", tmp_path / "half").code == 0
    with formats.open_reader(Source(tmp_path / "a.ome.tif")) as reader:
        half, grid = Image(reader.read(level=1)), reader.levels[1]
    found = formats.read(Source(tmp_path / "half" / "a.tif"))
    assert found.grid == grid
    np.testing.assert_array_equal(found.array, ulna.load(run).predict(half).to_image().array)


def test_a_level_of_a_film_lies_where_it_lay(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "CHUNKS", {2: (48, 48), 3: (2, 32, 32)})
    grid = Grid((3, 80, 96), (2.0, 0.5, 0.5), "µm", (1.0, 3.0, 4.0))
    film = np.random.default_rng(0).integers(0, 255, (1, *grid.shape)).astype(np.uint8)
    formats.write(tmp_path / "a.ome.zarr", Image(film, grid))
    with formats.open_reader(Source(tmp_path / "a.ome.zarr")) as reader:
        half = reader.levels[1]
    done = ulna.predict(run, tmp_path / "a.ome.zarr", out=tmp_path / "masks", level=1)
    assert formats.read(Source(done.masks[0])).grid == half
    assert half.spacing[1:] == (1.0, 1.0)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--region", "0:9"], "has no region 0:9"),
        (["--region", "0:9,0:9999"], "has no region 0:9,0:9999"),
        (["--region", "9:0,0:9"], "has no region 9:0,0:9"),
        (["--region", "middle"], "'middle' is no region"),
        (["--level", "3"], "has no level 3"),
    ],
)
def test_parts_that_are_not_there(
    run: Path, image: Image, tmp_path: Path, cli: CommandLine, words: list[str], expected: str
) -> None:
    formats.write(tmp_path / "a.tif", image)
    said = cli("predict", run, tmp_path / "a.tif", *words, "--out", tmp_path / "out")
    assert said.code == 2
    assert expected in said.out + said.err


def test_a_prediction_of_many_images_is_gone_on_with(
    finder: Model, cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = sorted((cells / "images").iterdir())
    whole = ulna.predict(finder, images, out=tmp_path / "whole")
    model = finder.changed({})

    def stop(self: Model, image: Image, **words: Any) -> Prediction:
        if image.source.stem == images[5].stem:
            raise KeyboardInterrupt
        return predict(self, image, **words)

    predict = Model.predict
    monkeypatch.setattr(Model, "predict", stop)
    with pytest.raises(KeyboardInterrupt):
        ulna.predict(model, images, out=tmp_path / "masks")
    monkeypatch.undo()
    with pytest.raises(UlnaError, match="5 of the masks are there already"):
        ulna.predict(model, images, out=tmp_path / "masks")
    again = ulna.predict(model, images, out=tmp_path / "masks", resume=True)
    assert len(again.masks) == len(images) - 5
    assert "5 masks of the prediction that is gone on with stayed as they are" in again.notes
    assert folder_of(tmp_path / "masks") == folder_of(whole.folder)
    for other in ({"task.decoding.smallest": 400}, {"inference.mirror": True}):
        with pytest.raises(UlnaError, match="were not made by this model in this way"):
            ulna.predict(model.changed(other), images, out=tmp_path / "masks", resume=True)
    (tmp_path / "masks" / "ulna.json").unlink()
    with pytest.raises(UlnaError, match="as far as is known"):
        ulna.predict(model, images, out=tmp_path / "masks", resume=True)


def test_masks_that_were_to_be_replaced_are_not_taken_for_those_of_the_new_model(
    finder: Model, cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = sorted((cells / "images").iterdir())[:3]
    old, new = finder, finder.changed({"task.decoding.smallest": 9})
    ulna.predict(old, images, out=tmp_path / "masks")
    predict = Model.predict

    def stop(self: Model, image: Image, **words: Any) -> Prediction:
        if image.source.stem == images[1].stem:
            raise KeyboardInterrupt
        return predict(self, image, **words)

    monkeypatch.setattr(Model, "predict", stop)
    with pytest.raises(KeyboardInterrupt):
        ulna.predict(new, images, out=tmp_path / "masks", overwrite=True)
    monkeypatch.undo()
    with pytest.raises(UlnaError, match=r"not made by this model in this way, .* known: cells_001, cells_002"):
        ulna.predict(new, images, out=tmp_path / "masks", resume=True)
    ulna.predict(new, images, out=tmp_path / "masks", overwrite=True)
    done = ulna.predict(new, images, out=tmp_path / "masks", resume=True)
    assert done.masks == ()


def test_masks_of_other_images_are_not_gone_on_with(run: Path, cells: Path, tmp_path: Path) -> None:
    for day, name in (("a", "cells_000.png"), ("b", "cells_001.png")):
        (tmp_path / day).mkdir()
        shutil.copy(cells / "images" / name, tmp_path / day / "image.png")
    ulna.predict(run, tmp_path / "a", out=tmp_path / "masks")
    assert ulna.predict(run, tmp_path / "a", out=tmp_path / "masks", resume=True).masks == ()
    with pytest.raises(UlnaError, match="not of these images as they are now"):
        ulna.predict(run, tmp_path / "b", out=tmp_path / "masks", resume=True)
    shutil.copy(cells / "images" / "cells_001.png", tmp_path / "a" / "image.png")
    with pytest.raises(UlnaError, match="not of these images as they are now, as far as is known: image"):
        ulna.predict(run, tmp_path / "a", out=tmp_path / "masks", resume=True)


def test_what_is_int8_is_not_gone_on_with_in_float32(finder: Model) -> None:
    parts = {"saved": finder.saved, "config": finder.config}
    engines = [SimpleNamespace(precision=precision) for precision in ("int8", "bf16")]
    words = [made_by(SimpleNamespace(**parts, engine=engine), (), 0) for engine in engines]  # type: ignore[arg-type]
    assert words[0] != words[1] == made_by(finder, (), 0)


def test_what_is_asked_for_beside_masks_is_made_where_it_is_missing(finder: Model, cells: Path, tmp_path: Path) -> None:
    images = sorted((cells / "images").iterdir())[:3]
    ulna.predict(finder, images, out=tmp_path / "masks")
    done = ulna.predict(finder, images, out=tmp_path / "masks", overlay=True, resume=True)
    assert len(done.masks) == 3
    assert len(list((tmp_path / "masks" / "overlays").iterdir())) == 3
    with pytest.raises(UlnaError, match="one file for all images"):
        ulna.predict(finder, images, out=tmp_path / "masks", outlines="coco", resume=True)


def test_outlines_are_not_of_parts(finder: Model, cells: Path, tmp_path: Path) -> None:
    with pytest.raises(UlnaError, match="outlines are of whole images"):
        ulna.predict(finder, cells / "images", out=tmp_path / "masks", outlines="geojson", region="0:9,0:9")


def test_a_part_of_a_stack_lies_where_it_lay(run: Path, tmp_path: Path) -> None:
    grid = Grid((3, 40, 48), (1.0, 0.5, 0.5), "µm", (0.0, 3.0, 4.0))
    film = np.random.default_rng(0).integers(0, 255, (1, *grid.shape)).astype(np.uint8)
    formats.write(tmp_path / "a.tif", Image(film, grid))
    done = ulna.predict(run, tmp_path / "a.tif", out=tmp_path / "masks", region=[[1, 3], [8, 40], [16, 48]])
    found = formats.read(Source(done.masks[0]))
    assert found.grid == grid.crop((slice(1, 3), slice(8, 40), slice(16, 48)))


def test_parts_of_the_images_together_are_all(finder: Model, cells: Path, tmp_path: Path, cli: CommandLine) -> None:
    images = sorted((cells / "images").iterdir())
    whole = ulna.predict(finder, images, out=tmp_path / "whole")
    run = finder.saved.folder
    for number in (2, 3, 1):
        words = ["--part", f"{number}/3", "--out", tmp_path / "masks", "--set", "inference.engine=torch"]
        assert cli("predict", run, *images, *words).code == 0
    found = folder_of(tmp_path / "masks")
    found.pop(".ulna.lock", None)
    assert found == folder_of(whole.folder)


@pytest.mark.parametrize("part", ["3", "0/2", "3/2", "a/b", "1/2/3"])
def test_parts_that_are_none(run: Path, cells: Path, tmp_path: Path, cli: CommandLine, part: str) -> None:
    said = cli("predict", run, cells / "images", "--part", part, "--out", tmp_path / "masks")
    assert said.code == 2
    assert f"'{part}' is no part" in said.err


def folder_of(place: Path) -> dict[str, object]:
    """What a folder of masks holds: bytes of masks, and lines of lists in any order."""
    files = {path.name: path.read_bytes() for path in place.iterdir()}
    return files | {"objects.csv": sorted(files["objects.csv"].splitlines())}


@pytest.mark.parametrize("tiling", ["exact", "blended"])
def test_objects_of_a_large_volume_that_lies_otherwise_are_those_of_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiling: str
) -> None:
    words = {"data": {"channels": 1}, "network": {"widths": [4, 8], "ndim": 3}, "task": {"name": "instances"}}
    config = Config.parse(words).changed(
        {"inference.tile": 24, "inference.tiling": tiling, "inference.engine": "torch"}
    )
    classes = Classes(("background", "a"), ((0,), (1,)), "classes", "")
    outputs = tasks.build(config.task, classes.names).outputs
    torch.manual_seed(1)
    model = Model(Saved(networks.build(config.network, 1, outputs).eval(), config, classes, outputs))
    grid = Grid((30, 26, 34), (1.5, 1.0, 1.0), "mm", (3.0, 4.0, 5.0))
    noise = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(1, *grid.shape)), (0, 2, 2, 2))
    turn = Orientation((2, 0, 1), (False, True, False))
    image = Image(np.ascontiguousarray(turn.apply(noise.astype(np.float32))), turn.grid(grid))
    formats.write(tmp_path / "a.nii.gz", image)
    masks = []
    for name in ("whole", "parts"):
        done = ulna.predict(model, tmp_path / "a.nii.gz", out=tmp_path / name)
        assert done.complete
        masks.append(formats.read(Source(done.masks[0])))
        monkeypatch.setitem(room.LARGE, 3, 0)
        monkeypatch.setitem(blocks.BLOCK, 3, (8, 12, 12))
        monkeypatch.setitem(blocks.HALO, 3, 40)  # objects in noise all touch each other
    one, other = masks
    assert one.array.max() > 3
    assert one.shape == image.shape
    np.testing.assert_allclose(other.grid.matrix, one.grid.matrix)
    assert pairs(one.array, other.array).shape[1] == one.array.max() + 1
    assert other.array.max() == one.array.max()


def test_a_part_of_a_film_is_predicted(run: Path, tmp_path: Path) -> None:
    film = np.random.default_rng(0).integers(0, 255, (3, 48, 64)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", film, imagej=True, metadata={"axes": "TYX"})
    done = ulna.predict(run, tmp_path / "a.tif", out=tmp_path / "masks", region="0:32,8:56")
    assert any("as if there were no more of their images" in note for note in done.notes)
    assert not done.failed
    assert formats.read(Source(done.masks[0])).shape[-2:] == (32, 48)


def test_a_zarr_whose_chunks_changed_is_another_image(tmp_path: Path, image: Image) -> None:
    place = tmp_path / "a.ome.zarr"
    formats.write(place, image)
    case = Case("a", (Source(place),))
    before = made_of("a model", [case])
    assert before == made_of("a model", [case])
    chunk = max((path for path in place.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    chunk.write_bytes(chunk.read_bytes() + b" ")
    assert made_of("a model", [case]) != before


def test_what_is_made_beside_masks_that_stay_can_be_stopped(
    finder: Model, cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = sorted((cells / "images").iterdir())[:3]
    ulna.predict(finder, images, out=tmp_path / "masks")
    predict = Model.predict

    def stop(self: Model, image: Image, **words: Any) -> Prediction:
        if image.source.stem == images[1].stem:
            raise KeyboardInterrupt
        return predict(self, image, **words)

    monkeypatch.setattr(Model, "predict", stop)
    with pytest.raises(KeyboardInterrupt):
        ulna.predict(finder, images, out=tmp_path / "masks", overlay=True, resume=True)
    monkeypatch.undo()
    ulna.predict(finder, images, out=tmp_path / "masks", overlay=True, resume=True)
    assert len(list((tmp_path / "masks" / "overlays").iterdir())) == 3

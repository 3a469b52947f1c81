"""What napari opens through the plugin, by its manifest as napari itself goes: a run, a folder of masks, a volume."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
import tifffile

pytest.importorskip("napari.layers", reason="napari is not installed: pip install -e '.[napari]'")

import npe2
from napari.components import ViewerModel
from napari.layers import Image, Labels

from ulna import formats
from ulna.errors import UlnaError
from ulna.image import Grid, Source
from ulna.image import Image as UlnaImage
from ulna.jobs.predict import predict
from ulna.napari import reader

ROOT = Path(__file__).parents[2]


def opened(path: Path) -> ViewerModel:
    """A viewer into which something was dropped."""
    viewer = ViewerModel()
    viewer.open(path, plugin="ulna")
    return viewer


def test_the_manifest_is_found_and_names_what_there_is() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["entry-points"]["napari.manifest"] == {project["name"]: "ulna.napari:napari.yaml"}
    manifest = npe2.PluginManifest.from_file(ROOT / "src" / "ulna" / "napari" / "napari.yaml")
    manifest.validate_imports()
    assert manifest.name == project["name"]


def test_a_run_shows_what_it_held_out(finished: Path) -> None:
    names = [line for line in (finished / "validation.txt").read_text().splitlines() if line]
    viewer = opened(finished)
    assert len(viewer.layers) == 3 * len(names)
    for name in names:
        image, truth, found = (viewer.layers[f"{name}{what}"] for what in ("", " truth", " predicted"))
        assert isinstance(image, Image)
        assert isinstance(truth, Labels)
        assert isinstance(found, Labels)
        assert image.data.shape == truth.data.shape == found.data.shape == (64, 64)
        assert truth.data.any()
    assert sum(layer.visible for layer in viewer.layers) == 3  # of one case


def test_of_many_cases_those_with_the_lowest_scores_are_opened_and_that_is_said(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = (finished / "train.txt").read_text().split() + (finished / "validation.txt").read_text().split()
    (finished / "validation.txt").write_text("\n".join(names))
    rows = ["case,group,class,state,dice", *(f"{name},,foreground,,{0.9 - 0.1 * k}" for k, name in enumerate(names))]
    (finished / "scores" / "scores.csv").write_text("\n".join(rows))
    said: list[str] = []
    monkeypatch.setattr(reader, "show_info", said.append)
    viewer = opened(finished)
    shown = [layer.name for layer in viewer.layers if isinstance(layer, Image)]
    assert shown == names[::-1][: reader.MAX_CASES]
    assert f"6 held-out cases with the lowest scores are opened, of {len(names)}" in said[0]


def test_the_score_of_a_case_is_the_mean_over_its_classes_and_thresholds(tmp_path: Path) -> None:
    from ulna.napari.held_out import _scores

    (tmp_path / "scores").mkdir()
    rows = ["case,class,dice,ap_50,ap_55", "a,cell,0.5,1,0.5", "a,nucleus,1,,0", "b,cell,,,"]
    (tmp_path / "scores" / "scores.csv").write_text("\n".join(rows))
    assert _scores(tmp_path, "dice") == {"a": 0.75}
    assert _scores(tmp_path, "ap") == {"a": 0.5}
    assert _scores(tmp_path / "nowhere", "dice") == {}


@pytest.mark.parametrize(
    ("data", "message"),
    [("arrays in memory", "names no files"), ("/nowhere/cells", "no longer there"), (None, "earlier version")],
)
def test_a_run_without_its_data_says_so(finished: Path, data: str | None, message: str) -> None:
    record = json.loads((finished / "run.json").read_text())
    record.pop("data")
    (finished / "run.json").write_text(json.dumps(record | ({"data": data} if data else {})))
    with pytest.raises(UlnaError, match=message):
        reader.read_layers(str(finished))


def test_predicted_masks_of_stacks_have_their_image_and_their_spacing(tmp_path: Path, run: Path) -> None:
    stack = np.random.default_rng(0).integers(0, 200, (3, 32, 32)).astype(np.uint8)
    said = {"spacing": 1.5, "unit": "um", "axes": "ZYX"}
    tifffile.imwrite(tmp_path / "a.tif", stack, imagej=True, resolution=(5, 2.5), metadata=said)
    predict(run, tmp_path / "a.tif", out=tmp_path / "masks")
    image, mask = opened(tmp_path / "masks").layers
    assert (image.name, mask.name) == ("a.tif", "a.tif mask")
    for layer in (image, mask):
        np.testing.assert_allclose(layer.scale, (1.5, 0.4, 0.2))
        assert {str(unit) for unit in layer.units} == {"micrometer"}
    np.testing.assert_array_equal(image.data, stack)
    np.testing.assert_array_equal(mask.data, tifffile.imread(tmp_path / "masks" / "a.tif"))
    (tmp_path / "a.tif").unlink()
    assert [layer.name for layer in opened(tmp_path / "masks").layers] == ["a.tif mask"]


def test_masks_of_objects_know_class_and_score(tmp_path: Path) -> None:
    numbers = np.kron(np.arange(1, 5, dtype=np.uint16).reshape(2, 2), np.ones((4, 4), np.uint16))
    formats.write(tmp_path / "b" / "a.png", UlnaImage(numbers[None]))
    (tmp_path / "ulna.json").write_text(json.dumps({"masks": ["b/a.png"], "pictures": []}))
    (tmp_path / "objects.csv").write_text("image,object,class,score\nb/a,1,cell,0.5\nb/a,2,nucleus,\n")
    (mask,) = opened(tmp_path).layers
    features = mask.features.set_index("index")
    assert features["class"].to_dict() == {0: "background", 1: "cell", 2: "nucleus", 3: "", 4: ""}
    assert features["score"][1] == 0.5
    colors = [tuple(mask.get_color(number)) for number in (1, 2, 3, 4)]
    assert len(set(colors)) == 4  # all of them touch


def test_a_class_has_one_color_in_all_masks_and_many_are_not_opened_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"{k:02d}.png" for k in range(reader.MAX_MASKS + 2)]
    for k, name in enumerate(names):
        formats.write(tmp_path / name, UlnaImage(np.full((1, 4, 4), 255 if k else 128, np.uint8)))
    (tmp_path / "ulna.json").write_text(json.dumps({"masks": [*names, "gone.png"], "pictures": []}))
    said: list[str] = []
    monkeypatch.setattr(reader, "show_info", said.append)
    layers = opened(tmp_path).layers
    assert len(layers) == reader.MAX_MASKS
    assert f"of {len(names)}" in said[0]
    assert tuple(layers[0].get_color(128)) != tuple(layers[1].get_color(255)) == tuple(layers[2].get_color(255))


def test_a_volume_keeps_where_it_lies_in_the_patient(tmp_path: Path) -> None:
    direction = ((0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (1.0, 0.0, 0.0))
    grid = Grid((4, 5, 6), (3.0, 0.5, 0.7), "mm", (10.0, -5.0, 2.0), direction)
    formats.write(tmp_path / "a.nii.gz", UlnaImage(np.random.default_rng(0).random((1, 4, 5, 6)), grid))
    (layer,) = opened(tmp_path / "a.nii.gz").layers
    np.testing.assert_array_equal(layer.data, SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(tmp_path / "a.nii.gz")))
    np.testing.assert_allclose(layer.scale, (3.0, 0.5, 0.7))
    assert layer.metadata["ulna grid"] == formats.read(Source(tmp_path / "a.nii.gz")).grid


def test_other_files_and_folders_are_left_to_others(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    assert reader.get_reader(str(tmp_path / "a.png")) is None
    assert reader.get_reader(str(tmp_path)) is None
    assert reader.get_reader([str(tmp_path / "a.nii"), str(tmp_path)]) is None
    assert reader.get_reader([str(tmp_path / "a.nii"), str(tmp_path / "b.nrrd")]) is not None


def test_a_folder_of_folds_names_them(tmp_path: Path) -> None:
    (tmp_path / "folds.csv").write_text("case,group,fold\na,a,0\nb,b,1\n")
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(UlnaError, match=r"holds the folds of a run\nOpen one of them: fold0, fold1"):
        reader.read_layers(str(tmp_path))

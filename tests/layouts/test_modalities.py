"""One folder per case and one file per modality."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from ulna.dataset import load_image
from ulna.layouts import find, read_dataset
from ulna.layouts.modalities import modality
from ulna.truth import load_truth

TODAY = ("-t1n", "-t1c", "-t2w", "-t2f", "-seg")
EARLIER = ("_t1", "_t1ce", "_t2", "_flair", "_seg")
NAMES = ("T1", "T1 contrast", "T2", "FLAIR")


def save(path: Path, value: float, dtype: type = np.int16, affine: np.ndarray | None = None) -> None:
    """A volume that is 0 but for a box of one value."""
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.zeros((9, 8, 7), dtype)
    array[2:6, 2:6, 2:6] = value
    placed = np.array([[-1, 0, 0, 0], [0, -1, 0, 239], [0, 0, 1, 0], [0, 0, 0, 1]])
    nibabel.save(nibabel.Nifti1Image(array, placed if affine is None else affine), path)


def case(root: Path, name: str, endings: tuple[str, ...], *, flat: bool = False) -> None:
    """The files of a case; each holds the place of its ending, those of segmentations 1."""
    for number, ending in enumerate(endings):
        save((root if flat else root / name) / f"{name}{ending}.nii.gz", 1 if "seg" in ending else 10 + number)


@pytest.mark.parametrize("endings", [TODAY, EARLIER])
@pytest.mark.parametrize("flat", [False, True])
def test_modalities_are_channels_in_one_order(tmp_path: Path, endings: tuple[str, ...], flat: bool) -> None:
    for number in (1, 2, 3):
        case(tmp_path, f"Brats_00{number}", endings, flat=flat)
    found = read_dataset(tmp_path)
    assert [one.name for one in found.cases] == ["Brats_001", "Brats_002", "Brats_003"]
    assert "3 cases with one file per modality (T1, T1 contrast, T2, FLAIR)" in found.sentence
    assert not found.problems
    image = load_image(found.cases[1])
    assert tuple(channel.name for channel in image.channels) == NAMES
    assert image.array.max(axis=(1, 2, 3)).tolist() == [10, 11, 12, 13]
    assert load_truth(found.cases[1]).array.max() == 1
    assert len(find(tmp_path).cases) == 3


def test_one_case_alone_and_names_as_deepmedic_writes_them(tmp_path: Path) -> None:
    folder = tmp_path / "pat0006"
    for name, value in (("Flair_subtrMeanDivStd", 3.5), ("T1c_subtrMeanDivStd", 2.5), ("OTMultiClass", 4)):
        save(folder / f"{name}.nii.gz", value, np.float32)
    save(folder / "brainmask.nii.gz", 0.9999999, np.float32)
    for place in (tmp_path, folder):
        found = read_dataset(place)
        assert [one.name for one in found.cases] == ["pat0006"]
        assert found.cases[0].channels == ("T1 contrast", "FLAIR")
        assert load_image(found.cases[0]).array.max(axis=(1, 2, 3)).tolist() == [2.5, 3.5]
        (problem,) = found.problems
        assert "1 mask of the brain is no annotation and is left out" in problem.what
        assert "brainmask.nii.gz (float32, off whole numbers by 1e-07)" in problem.where[0]


def test_visits_of_a_patient_are_one_group(tmp_path: Path) -> None:
    for name in ("BraTS-GLI-00001-000", "BraTS-GLI-00001-001", "BraTS-GLI-00002-000"):
        case(tmp_path, name, TODAY)
    groups = [one.group for one in read_dataset(tmp_path).cases]
    assert groups == ["BraTS-GLI-00001", "BraTS-GLI-00001", "BraTS-GLI-00002-000"]


def test_a_case_that_lacks_a_modality_is_left_out_where_nearly_all_have_it(tmp_path: Path) -> None:
    for number in range(12):
        case(tmp_path, f"b{number:02d}", TODAY if number else TODAY[1:])
    found = read_dataset(tmp_path)
    assert len(found.cases) == 11
    (problem,) = [one for one in found.problems if "lacks a modality" in one.what]
    assert problem.where == ("b00/b00-t1c.nii.gz",)
    to_predict = find(tmp_path, channels=4)  # which says of each file of b00 that it is no such image, or left out
    assert to_predict.left_out == ("b00/b00-t1c.nii.gz",)
    alone = {one.name for one in to_predict.cases if len(one.images) == 1}
    assert alone == {f"b00/b00{ending}" for ending in TODAY[2:]}


def test_where_cases_differ_what_they_share_is_used_and_the_rest_is_named(tmp_path: Path) -> None:
    case(tmp_path, "b1", TODAY)
    case(tmp_path, "b2", ("_flair", "_t1ce", "_seg"))
    found = read_dataset(tmp_path)
    assert {one.channels for one in found.cases} == {("T1 contrast", "FLAIR")}
    (problem,) = [one for one in found.problems if "different modalities" in one.what]
    assert set(problem.where) == {"b1/b1-t1n.nii.gz", "b1/b1-t2w.nii.gz"}
    assert not any("no mask" in one.what for one in found.problems)


def test_of_two_segmentations_the_plain_one_is_used_and_the_other_described(tmp_path: Path) -> None:
    case(tmp_path, "b1", TODAY[:4])
    save(tmp_path / "b1" / "seg-b1.nii.gz", 2)
    save(tmp_path / "b1" / "seg-b1_mapped.nii.gz", 4, np.float64, np.eye(4))
    found = read_dataset(tmp_path)
    assert load_truth(found.cases[0]).array.max() == 2
    (problem,) = [one for one in found.problems if "further segmentation" in one.what]
    assert problem.where == (
        "b1/seg-b1_mapped.nii.gz (float64, does not say where it lies: its matrix is the identity)",
    )


def test_other_data_are_not_taken_for_modalities(tmp_path: Path) -> None:
    assert modality("t2s") == modality("a_t1_t2") == modality("cells") == ""
    for name in ("t2s", "t2s_seg"):
        save(tmp_path / f"{name}.nii.gz", 1)
    assert "modality" not in read_dataset(tmp_path).sentence


def test_two_real_cases(data: Path) -> None:
    found = read_dataset(data / "brats")
    assert [(one.name, one.channels) for one in found.cases] == [
        ("BraTS-GLI-00001-000", ("T1 contrast", "FLAIR")),
        ("brats_2013_pat0006_1", ("T1 contrast", "FLAIR")),
    ]
    said = " ".join(place for one in found.problems for place in one.where)
    assert "seg-BraTS23_1_mapped.nii.gz (float64, does not say where it lies" in said
    assert "brainmask.nii.gz" in said


@pytest.mark.parametrize("flat", [False, True])
def test_images_to_predict_have_no_segmentation(tmp_path: Path, flat: bool) -> None:
    """As in training, but for the segmentation: one case each, its modalities in their order."""
    for number in (1, 2):
        case(tmp_path / "scans", f"Brats_00{number}", TODAY[:-1], flat=flat)
    save(tmp_path / "scans" / "other.nii.gz", 7)
    found = find(tmp_path / "scans", channels=4).cases
    assert [one.name for one in found] == ["Brats_001", "Brats_002", "other"]
    image = load_image(found[1])
    assert tuple(channel.name for channel in image.channels) == NAMES
    assert image.array.max(axis=(1, 2, 3)).tolist() == [10, 11, 12, 13]
    assert [len(one.images) for one in find(tmp_path / "scans", channels=1).cases] == [1] * 9
    assert [len(one.images) for one in find(tmp_path / "scans", channels=3).cases] == [1] * 9
    assert [len(one.images) for one in find(tmp_path / "scans", plain=True, channels=4).cases] == [1] * 9


def test_a_model_that_chooses_channels_gets_all_modalities_of_an_image(tmp_path: Path) -> None:
    case(tmp_path, "p1", ("-t1n", "-t2f"))
    save(tmp_path / "p1" / "brainmask.nii.gz", 1)
    (one,) = find(tmp_path / "p1", channels=4, choosing=True).cases
    assert (one.name, one.channels) == ("p1", ("T1", "FLAIR"))
    files = sorted((tmp_path / "p1").glob("*-t*.nii.gz"))
    (named,) = find(files, channels=4, choosing=True).cases  # as a shell makes them of a pattern
    assert (named.name, named.images) == ("p1", one.images)
    (drawn,) = find(str(tmp_path / "*" / "*.nii.gz"), channels=4, choosing=True).cases
    assert (drawn.name, drawn.channels) == ("p1", one.channels)


def test_frames_with_masks_of_their_own_are_no_sequences(tmp_path: Path) -> None:
    for position in (1, 2):
        for time in (1, 2):
            save(tmp_path / f"pos{position}_t{time}.nii.gz", 10 * time)
            save(tmp_path / f"pos{position}_t{time}_mask.nii.gz", time)
    found = read_dataset(tmp_path)
    assert [(one.name, len(one.images), len(one.truth)) for one in found.cases] == [
        (f"pos{position}_t{time}", 1, 1) for position in (1, 2) for time in (1, 2)
    ]

"""What `check` says of volumes: a test per blemish, on real data or on files of the same kind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

from ulna.dataset import Problem
from ulna.jobs.check import Check, check
from ulna.jobs.volume_checks import small_objects

AFFINE = np.array([[-0.8, 0, 0, 40], [0, -0.8, 0, 50], [0, 0, 5, -30], [0, 0, 0, 1]])
SHAPE = (20, 18, 6)  # x, y, z
BODY = np.pad(np.ones((16, 14, 4), bool), ((2, 2), (2, 2), (1, 1)))

Edit = Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]


def moved(millimeters: float) -> np.ndarray:
    """What is added to a matrix for another origin."""
    return np.pad([[millimeters]], ((0, 3), (3, 0)))


def put(root: Path, name: str, edit: Edit | None = None, *, seed: int = 0) -> None:
    """A volume and its mask, edited: image, mask and affine give image, mask and the affines of both."""
    draw = np.random.default_rng(seed)
    image = draw.integers(100, 1000, SHAPE).astype(np.int16)
    mask = np.zeros(SHAPE, np.uint8)
    mask[5:12, 5:12, 1:5] = 1
    parts = edit(image, mask, AFFINE.copy()) if edit else (image, mask, AFFINE, AFFINE)
    for folder, array, affine in (("imagesTr", parts[0], parts[2]), ("labelsTr", parts[1], parts[3])):
        (root / folder).mkdir(parents=True, exist_ok=True)
        nibabel.save(nibabel.Nifti1Image(array, affine), root / folder / f"{name}.nii.gz")


def checked(root: Path, edit: Edit) -> Check:
    """Three sound volumes and one that was edited."""
    for number in range(3):
        put(root, f"a{number}", seed=number)
    put(root, "odd", edit, seed=9)
    return check(root)


def named(found: Check, words: str) -> Problem:
    """The only problem that says so."""
    (problem,) = [problem for problem in found.problems if words in problem.what]
    return problem


def test_sound_volumes_have_no_problem_but_that_they_are_few_and_thick(tmp_path: Path) -> None:
    for number in range(4):
        put(tmp_path, f"a{number}", seed=number)
    found = check(tmp_path)
    assert [problem.what[:14] for problem in found.problems] == ["4 cases are fe", "slices are thi"]
    assert found.facts["spacing"] == "5 × 0.8 × 0.8 mm"
    assert found.facts["slices"] == "24, 8 of them without a label (in 4 volumes)"
    assert "up to 6.25 times as thick" in named(found, "thick").what


FIXED: dict[str, tuple[Edit, str, str]] = {
    "a mask without a place": (
        lambda i, m, a: (i, m.astype(np.float64), a, np.eye(4)), "does not say where", "warning"
    ),
    "a mask that begins at 0": (
        lambda i, m, a: (i, m, a, np.diag([-0.8, -0.8, 5, 1])), "of which one begins at 0", "note"
    ),
    "rounding": (lambda i, m, a: (i, m, a, a + moved(0.02)), "Harmless: rounding", "note"),
    "a mask stored the other way round": (
        lambda i, m, a: (i, m[::-1], a, a @ np.array([[-1, 0, 0, 19], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])),
        "Fixed: brought onto", "warning",
    ),
    "a mask of half the voxels": (
        lambda i, m, a: (i, m[::2], a, a @ np.diag([2, 1, 1, 1])), "Fixed: brought onto", "warning"
    ),
    "nearly whole numbers": (
        lambda i, m, a: (i, m.astype(np.float64) * 0.9999999, a, a), "Fixed: rounded", "warning"
    ),
    "an image without a place": (lambda i, m, a: (i, m, np.eye(4), a), "not say how large its voxels are", "warning"),
}  # fmt: skip


@pytest.mark.parametrize("case", FIXED)
def test_what_is_harmless_or_fixed_is_said_and_the_case_is_used(tmp_path: Path, case: str) -> None:
    edit, words, severity = FIXED[case]
    found = checked(tmp_path, edit)
    problem = named(found, words)
    assert problem.severity == severity
    assert problem.where[0].startswith("odd")
    assert not found.fatal
    assert len(found.dataset.cases) == 4


FATAL: dict[str, tuple[Edit, str]] = {
    "another place": (lambda i, m, a: (i, m, a, a + moved(9)), "mask of another place"),
    "another spacing": (lambda i, m, a: (i, m, a, a @ np.diag([1, 1, 0.5, 1])), "mask of another place"),
    "far away": (lambda i, m, a: (i, m[:-1], a, a + moved(900)), "mask of another place"),
    "another size without a place": (lambda i, m, a: (i, m[:-1], a, np.eye(4)), "mask of another size"),
    "halves": (lambda i, m, a: (i, m * 0.5, a, a), "cannot be used"),
}


@pytest.mark.parametrize("case", FATAL)
def test_what_cannot_be_mended_is_fatal_and_named(tmp_path: Path, case: str) -> None:
    edit, words = FATAL[case]
    found = checked(tmp_path, edit)
    problem = named(found, words)
    assert (problem.severity, len(problem.where)) == ("fatal", 1)
    assert problem.where[0].startswith("odd: ")


ODD: dict[str, tuple[Edit, str]] = {
    "gray scale": (lambda i, m, a: (i * 30, m, a, a), "gray scales differ: the highest values are from 999 to 29,"),
    "clipped": (lambda i, m, a: (np.minimum(i, 980), m, a, a), "clipped in 1 volume: up to"),
    "outside": (
        lambda i, m, a: (np.where(BODY, i, -380).astype(np.float32), m, a, a),
        "what lies outside of the body is not 0 in 1 volume",
    ),
    "strayed": (
        lambda i, m, a: (i * BODY, (m * 0 + (np.arange(20)[:, None, None] < 7)).astype(np.uint8), a, a),
        "labels lie outside of what the image shows in 1 volume",
    ),
    "gap": (lambda i, m, a: (i, m * (np.arange(6) != 2), a, a), "slices without a label lie between labeled ones"),
    "type": (lambda i, m, a: (i, m.astype(np.float32), a, a), "masks have different types of values"),
    "sheared": (
        lambda i, m, a: (i, m, *[a @ np.array([[1, 0.3, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])] * 2),
        "not at right angles",
    ),
    "orientation": (lambda i, m, a: (i, m, *[np.diag([-1, 1, 1, 1]) @ a] * 2), "orders and directions of their axes"),
    "one slice": (lambda i, m, a: (i[..., 2:3], m[..., 2:3], a, a), "1 volume has a single slice"),
    "all zero": (lambda i, m, a: (i * 0, m, a, a), "one value only is in 1 image"),
    "begins at 0": (
        lambda i, m, a: (i, m, *[np.diag([-0.8, -0.8, 5, 1])] * 2), "1 volume begins at 0 and 3 do not"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ODD)
def test_what_is_odd_is_said(tmp_path: Path, case: str) -> None:
    edit, words = ODD[case]
    found = checked(tmp_path, edit)
    problem = named(found, words)
    assert any("odd" in place for place in problem.where)
    assert not found.fatal


def test_labels_outside_are_counted(tmp_path: Path) -> None:
    edit, words = ODD["strayed"]
    inside = 5 * 14 * 4  # of the body, where x is from 2 to 6
    assert named(checked(tmp_path, edit), words).where == (f"odd: {7 * 18 * 6 - inside} voxels",)


def test_planes_among_volumes_and_names_that_come_twice(tmp_path: Path) -> None:
    for number in range(3):
        put(tmp_path, f"a{number}", seed=number)
    put(tmp_path, "flat", lambda i, m, a: (i[..., 0], m[..., 2], a, a))
    problem = named(check(tmp_path), "2D images and volumes are mixed")
    assert (problem.severity, problem.where) == ("fatal", ("flat",))
    for folder in ("imagesTr", "labelsTr"):
        (tmp_path / folder / "flat.nii.gz").unlink()
    put(tmp_path / "more", "a1", seed=7)
    found = check(tmp_path)
    assert sorted(case.name for case in found.dataset.cases) == ["a0", "a2", "imagesTr/a1", "more/imagesTr/a1"]


def test_two_images_of_one_name_are_named_together(tmp_path: Path) -> None:
    for number in range(3):
        put(tmp_path, f"a{number}", seed=number)
    again = nibabel.load(tmp_path / "imagesTr" / "a1.nii.gz")
    nibabel.save(again, tmp_path / "imagesTr" / "a1.nii")
    problem = named(check(tmp_path), "1 name is that of several images: which of them a mask belongs to is not known")
    assert problem.where == ("a1.nii and a1.nii.gz",)


def test_spacings_that_no_file_records(tmp_path: Path) -> None:
    for number in range(3):
        put(tmp_path, f"a{number}", lambda i, m, a: (i, m, np.eye(4), np.eye(4)), seed=number)
    problem = named(check(tmp_path), "do not record the size of voxels")
    assert "data.spacing" in problem.what
    assert len(problem.where) == 3
    stated = check(tmp_path, changes={"data.spacing": [5, 0.8, 0.8], "data.unit": "mm"})
    assert not any("record the size" in problem.what for problem in stated.problems)


def test_tiny_objects() -> None:
    sizes = [("a", np.array([1400, 900, 30])), ("b", np.array([1200, 95, 1300]))]
    (problem,) = small_objects(sizes)
    assert problem.what.startswith("2 numbered objects are tiny (30 to 95 voxels; half of all have 1,050 or more)")
    assert problem.where == ("a: 1", "b: 1")
    assert not small_objects([("a", np.array([1400, 900]))])
    assert not small_objects([])


def said(place: Path, *names: str) -> str:
    """What is wrong with some cases of a real data set."""
    problems = check(place, cases=list(names)).problems
    return "\n".join(f"{one.severity}: {one.what} [{', '.join(one.where)}]" for one in problems)


def test_the_blemishes_of_hearts(data: Path) -> None:
    names = ("patient073_frame01", "patient073_frame10", "patient097_frame01", "patient080_frame01")
    text = said(data / "acdc" / "acdc_train.tar.xz", *names)
    for words in (
        "clipped in 4 volumes: up to 1.1%",
        "the highest values are from 115 to 1,108",
        "slices are thick in 4 volumes: up to 6.74 times",
        "no file in 'Task_ACDC/scribblesTr' is used (50 left out)",
    ):
        assert words in text


def test_the_blemishes_of_embryos_and_of_stacks_of_brains(data: Path) -> None:
    text = said(data / "bbbc050" / "bbbc050_train.tar.xz", "Emb02_t501", "Emb03_t501")
    assert "11 numbered objects are tiny (32 to 157 voxels" in text
    assert "2 volumes do not record the size of voxels" in text
    assert "2 volumes do not record" in said(data / "lgg3d" / "lgg3d_train.tar.xz", "TCGA_CS_4942", "TCGA_CS_5395")


def test_the_blemishes_of_hippocampi(data: Path) -> None:
    names = [f"hippocampus_{number}" for number in ("001", "003", "039", "172", "210")]
    text = said(data / "hippocampus" / "Task04_Hippocampus.tar", *names)
    for words in (
        "image has no mask and is left out [hippocampus_118]",
        "labelsTr/hippocampus_010.nii.gz (",
        "labelsTr/hippocampus_281.nii.gz (94 × 512 × 512)",
        "the highest values are from 112 to 1,704,295",
        "uint8 in 4, float32 in 1. Harmless where they are whole [hippocampus_003]",
        "1 volume begins at 0 and 4 do not",
        "images have different types of values",
    ):
        assert words in text

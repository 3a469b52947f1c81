"""Groups: stated, given by the layout, or found in names; what is guessed and much is a warning."""

from __future__ import annotations

import uuid
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ulna import formats
from ulna.dataset import Case, split_by_group
from ulna.errors import UlnaError
from ulna.groups import Grouping, decide
from ulna.image import Image, Source
from ulna.jobs.grouping import with_groups
from ulna.layouts import read_dataset


def grouped(*names: str, stated: str = "") -> Grouping:
    return decide([Case(name, ()) for name in names], stated)


SERIES = {
    "patient, slice": ("P{0:02d}_slice{1:02d}", "P{0:02d}"),
    "patient, slice, a dash": ("case{0:02d}-z{1:03d}", "case{0:02d}"),
    "words apart from numbers": ("patient_{0}_slice_{1}", "patient_{0}"),
    "nothing between": ("P{0:02d}s{1:02d}", "P{0:02d}"),
    "a dot": ("P{0:02d}.{1:02d}", "P{0:02d}"),
    "numbers alone": ("{0:02d}_{1:02d}", "{0:02d}"),
    "the slice first": ("slice{1:02d}_P{0:02d}", "P{0:02d}"),
    "a bare slice first": ("{1:02d}_P{0:02d}", "P{0:02d}"),
    "two visits": ("P{0}_V1_{1:02d}", "P{0}"),
    "barcode and date": ("TCGA_CS_{0:04d}_19960909_{1}", "TCGA-CS-{0:04d}"),
    "fields of wells": ("B{0:02d}_s{1}", "B{0:02d}"),
    "fields of wells of an experiment": ("exp1_B{0:02d}_s{1}_w1", "exp1_B{0:02d}"),
    "rows and columns of a plate": ("r02c{0:02d}f{1:02d}p01", "r02c{0:02d}"),
    "frames of films": ("film{0}_t{1:03d}", "film{0}"),
    "frames without a word": ("f{0}_{1:04d}", "f{0}"),
    "tiles": ("img_{0}_tile_{1}", "img_{0}"),
    "tiles, the tile first": ("tile_{1}_img_{0}", "img_{0}"),
    "tiles by place": ("slide{0}_x{1}_y0", "slide{0}"),
    "letters": ("mouse{0:c}_{1:02d}", "mouse{0:c}"),
}


@pytest.mark.parametrize(("name", "group"), SERIES.values(), ids=SERIES)
def test_series_in_names(name: str, group: str) -> None:
    """Of eight patients with three images each, in any order."""
    subjects = range(65, 73) if "c}" in name else range(1, 9)
    pairs = [(name.format(p, s), group.format(p)) for s in range(3) for p in subjects]
    found = grouped(*(name for name, _ in pairs))
    assert found.groups == tuple(group for _, group in pairs)
    assert found.how.startswith("found in names")
    assert found.problems == ()


@pytest.mark.parametrize("pair", [("L", "R"), ("left", "right"), ("OD", "OS")])
def test_two_eyes_of_one_patient(pair: tuple[str, str]) -> None:
    names = [f"P{p}_{eye}" for p in range(1, 7) for eye in pair]
    assert grouped(*names, "P9_" + pair[0]).groups == (*(name.split("_")[0] for name in names), "P9_" + pair[0])
    glued = [f"Image_{p:02d}{eye}" for p in range(1, 7) for eye in "LR"]
    assert grouped(*glued).groups == tuple(name[:-1] for name in glued)


INDEPENDENT = {
    "numbered": [f"img_{k:03d}" for k in range(100)],
    "numbered, one word": [f"cell{k:02d}" for k in range(12)],
    "classes": [f"{kind} ({k})" for kind in ("benign", "malignant") for k in range(1, 20)],
    "parts": [f"{part}_{k}" for part in ("train", "testA", "testB") for k in range(1, 20)],
    "fundus": [f"{k}_training" for k in range(21, 41)],
    "years": [f"{year}_{k:06d}" for year in (2007, 2008, 2009) for k in range(9)],
    "clocks": [f"2020-01-{day:02d}_12-30-{k:02d}" for day in range(1, 5) for k in range(5)],
    "dates": [f"202001{day:02d}_{k:03d}" for day in range(1, 5) for k in range(5)],
    "magnification": [f"{m}x_{k:03d}" for m in (10, 20, 40) for k in range(5)],
    "slides of patients": [f"TCGA-18-{k}-01Z-00-DX1" for k in range(5400, 5420)],
    "archive": [f"ISIC_{k:07d}" for k in range(24306, 24330)],
}


@pytest.mark.parametrize("names", INDEPENDENT.values(), ids=INDEPENDENT)
def test_independent_images_stay_single(names: list[str]) -> None:
    found = grouped(*names)
    assert found.groups == tuple(names)
    assert found.how.startswith("none found")
    assert found.problems == ()


@given(seed=st.integers(0, 10_000))
def test_random_identifiers_stay_single(seed: int) -> None:
    draw = np.random.default_rng(seed)
    long = [draw.bytes(32).hex() for _ in range(200)]
    spelt = [str(uuid.UUID(bytes=draw.bytes(16))) for _ in range(200)]
    short = sorted({draw.bytes(4).hex() for _ in range(200)})
    for names in (long, spelt, short):
        assert grouped(*names).groups == tuple(names)


def test_names_of_the_data_science_bowl_stay_single(data: Path) -> None:
    cases = read_dataset(data / "dsb2018" / "stage1_train.zip").cases
    assert decide(cases).groups == tuple(case.name for case in cases)


def test_one_series_is_not_joined_but_a_warning() -> None:
    for names in ([f"t{k:03d}" for k in range(20)], [f"P01_slice{k:02d}" for k in range(20)]):
        found = grouped(*names)
        assert found.groups == tuple(names)
        (problem,) = found.problems
        assert problem.severity == "warning"
        assert "one series" in problem.what
        assert "data.groups" in problem.what


@pytest.mark.parametrize("sizes", [(10, 10), (4, 4, 4, 4), (20, 2, 2, 2, 2, 2, 2)])
def test_few_or_large_groups_that_are_guessed_are_a_warning(sizes: tuple[int, ...]) -> None:
    found = grouped(*(f"P{p}_slice{s:02d}" for p, size in enumerate(sizes) for s in range(size)))
    assert len(set(found.groups)) == len(sizes)
    (problem,) = found.problems
    assert problem.severity == "warning"
    assert "data.groups='(.+)'" in problem.what


def test_groups_that_are_guessed_and_many_are_none() -> None:
    assert grouped(*(f"P{p}_slice{s:02d}" for p in range(5) for s in range(4))).problems == ()


def test_folders_and_stacks_of_the_layout_are_kept() -> None:
    folders = [Case(f"t{k:03d}~{f}", (), group=f"film{f}") for f in range(6) for k in range(3)]
    found = decide(folders)
    assert found.groups == tuple(case.group for case in folders)
    assert "in folders" in found.how
    pages = [
        Case(f"P{p}_{eye}_{page:04d}", (Source(Path(f"P{p}_{eye}.tif"), page=page),), group=f"P{p}_{eye}")
        for p in range(6)
        for eye in "LR"
        for page in range(2)
    ]
    assert decide(pages).groups == tuple(case.group[:2] for case in pages)
    alone = [case for case in pages if "_L_" in case.name]
    assert decide(alone).groups == tuple(case.group for case in alone)
    assert "of films and volumes, one group each" in decide(alone).how
    assert decide(alone).problems == ()


def test_a_regular_expression_wins() -> None:
    names = [f"P{p}_slice{s}" for p in range(6) for s in range(2)]
    assert grouped(*names, stated="slice(.)").groups == ("0", "1") * 6
    assert grouped(*names, stated="(.+)").groups == tuple(names)
    stacks = [Case("a_0000", (), group="a"), Case("b_0000", (), group="b")]
    assert decide(stacks, "_(0)").groups == ("0", "0")


def test_a_regular_expression_may_be_of_paths() -> None:
    cases = [Case(str(k), (Source(Path(f"/data/{site}/{k}.png")),)) for k, site in enumerate(("north", "south"))]
    found = decide(cases, "(north|south)/")
    assert found.groups == ("north", "south")
    assert "paths" in found.how
    in_zip = [Case("a", (Source(Path("/d.zip"), ("x/1.png",)),)), Case("b", (Source(Path("/d.zip"), ("y/1.png",)),))]
    assert decide(in_zip, "^(.)/").groups == ("x", "y")


@pytest.mark.parametrize(
    ("stated", "what"),
    [
        ("P(", "is no regular expression"),
        ("P.", "has 0 captures, and one is needed"),
        ("(P)(.)", "has 2 captures"),
        ("^(Q.)", "captures no group in 2 names of 2: 'P1', 'P2'"),
        ("P(3?)", "captures no group"),
        ("P(1)", "captures no group in 1 name of 2: 'P2'"),
        ("nowhere.csv", "cannot be read"),
    ],
)
def test_a_statement_that_fits_nothing_is_an_error(stated: str, what: str) -> None:
    with pytest.raises(UlnaError) as error:
        grouped("P1", "P2", stated=stated)
    assert what in error.value.what


@pytest.mark.parametrize("text", ["name,group\na,1\nb.png,1\nc,2\n", "\ufeffa;1\n\nb;1\nc;2", "a\t1\nb\t1\nc\t2\n"])
def test_a_table_of_groups(tmp_path: Path, text: str) -> None:
    path = tmp_path / "groups.csv"
    path.write_text(text, "utf-8")
    cases = [Case(name, (Source(Path(f"{name}.png")),)) for name in "abc"]
    found = decide(cases, str(path))
    assert found.groups == ("1", "1", "2")
    assert found.problems == ()
    assert str(path) in found.how
    (note,) = decide(cases[:2], str(path)).problems
    assert note.severity == "note"
    assert note.where == ("c",)


def test_a_table_names_pages_by_their_stack(tmp_path: Path) -> None:
    path = tmp_path / "groups.csv"
    path.write_text("s.tif,1\nt,1\n", "utf-8")
    cases = [Case(f"{name}_0000", (Source(Path(f"{name}.tif"), page=0),), group=name) for name in "st"]
    assert decide(cases, str(path)).groups == ("1", "1")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("a,1\n", "lacks 1 case of 2: 'b'"),
        ("a,1\nb\n", "line 2 has no name and group"),
        ("a,1\nb,\n", "line 2 has no name and group"),
        ("a,1\nb,2\na,2\n", "line 3 gives 'a' the group '2', an earlier line '1'"),
    ],
)
def test_a_table_that_is_wrong_is_an_error(tmp_path: Path, text: str, what: str) -> None:
    path = tmp_path / "groups.csv"
    path.write_text(text, "utf-8")
    with pytest.raises(UlnaError) as error:
        grouped("a", "b", stated=str(path))
    assert what in error.value.what


def test_patients_stay_on_one_side(tmp_path: Path) -> None:
    for p in range(6):
        for s in range(8):
            for kind in ("images", "masks"):
                formats.write(tmp_path / kind / f"P{p:02d}_slice{s:02d}.png", Image(np.zeros((1, 8, 8), np.uint8)))
    dataset, how = with_groups(read_dataset(tmp_path), "")
    rest, kept = split_by_group(dataset.cases, 0.2, 0)
    sides = [{case.name[:3] for case in side} for side in (rest, kept)]
    assert sides[0].isdisjoint(sides[1])
    assert len(sides[0]) + len(sides[1]) == 6
    assert "'P00_slice00' belongs to 'P00'" in how
    chosen, _ = with_groups(read_dataset(tmp_path), "", ["P03"], ["P03_slice07"])
    assert [case.name for case in chosen.cases] == [f"P03_slice{s:02d}" for s in range(7)]
    stated, _ = with_groups(read_dataset(tmp_path), "slice(.+)", ["05"])
    assert {case.group for case in stated.cases} == {"05"}
    assert len(stated.cases) == 6


def folders(root: Path, *paths: str) -> list[str]:
    for path in paths:
        for name in ("a.png", "a_mask.png"):
            formats.write(root / path / name, Image(np.zeros((1, 8, 8), np.uint8)))
    return sorted({case.group for case in read_dataset(root).cases})


def test_visits_lie_in_the_folder_of_their_patient(tmp_path: Path) -> None:
    paths = [f"P{patient:02d}/visit{visit}" for patient in (1, 2, 3) for visit in (1, 2)]
    assert folders(tmp_path / "visits", *paths) == ["P01", "P02", "P03"]
    sessions = [f"sub-{patient:02d}/ses-{visit}/anat" for patient in (1, 2) for visit in (1, 2)]
    assert folders(tmp_path / "bids", *sessions) == ["sub-01", "sub-02"]
    assert folders(tmp_path / "one", "P01/visit1", "P01/visit2") == ["visit1", "visit2"]  # of one patient alone
    assert folders(tmp_path / "also", ".", "P01/visit1", "P01/visit2") == ["a", "visit1", "visit2"]


def test_the_folder_that_names_a_patient_most_surely_counts(tmp_path: Path) -> None:
    assert folders(tmp_path / "volumes", "vol1/patient01", "vol1/patient02", "vol2/patient03") == [
        "patient01", "patient02", "patient03"
    ]  # fmt: skip
    stains = [f"{stain}/patient{patient}" for stain in ("p16", "p53") for patient in "AB"]
    assert len(folders(tmp_path / "stains", *stains)) == 4


def test_patients_of_images_with_a_file_per_object(tmp_path: Path) -> None:
    for patient in ("P01", "P02"):
        for image in ("img1", "img2"):
            place = tmp_path / patient / f"{image}{patient}"
            formats.write(place / "images" / f"{image}{patient}.png", Image(np.zeros((1, 8, 8), np.uint8)))
            for number in range(2):
                mask = np.zeros((1, 8, 8), np.uint8)
                mask[0, 4 * number : 4 * number + 3] = 255
                formats.write(place / "masks" / f"{number}.png", Image(mask))
    assert sorted({case.group for case in read_dataset(tmp_path).cases}) == ["P01", "P02"]


def test_few_patients_with_several_images_are_joined_where_names_say_so() -> None:
    names = [f"TCGA-18-{number:04d}-01Z-00-DX1" for number in range(60)]
    names += [f"TCGA-18-{number:04d}-01Z-00-DX2" for number in range(10)]
    groups = grouped(*names).groups
    assert len(set(groups)) == 60
    assert groups[0] == groups[60]


def test_the_few_patients_with_several_visits_are_joined() -> None:
    names = [f"BraTS-GLI-{k:05d}-000" for k in range(10)]
    assert grouped(*names).groups == tuple(names)
    found = grouped(*names, "BraTS-GLI-00003-001")
    assert found.groups[3] == found.groups[-1] == "BraTS-GLI-00003"
    assert len(set(found.groups)) == 10

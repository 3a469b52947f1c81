"""Cases loaded, merged, split and selected."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from ulna import formats
from ulna.caselist import case_names, select, write_names
from ulna.dataset import Case, Dataset, case_bytes, load_image, quiet, split_by_group
from ulna.errors import ReadError, UlnaError
from ulna.image import Grid, Image, Source
from ulna.truth import load_truth


def saved(path: Path, array: np.ndarray) -> Source:
    formats.write(path, Image(array))
    return Source(path)


def test_modalities_are_stacked(tmp_path: Path) -> None:
    one, two = np.full((1, 4, 5), 1, np.uint8), np.full((3, 4, 5), 2, np.uint16)
    case = Case("a", (saved(tmp_path / "1.png", one), saved(tmp_path / "2.png", two)))
    image = load_image(case)
    assert image.array[:, 0, 0].tolist() == [1, 2, 2, 2]
    assert image.array.dtype == np.uint16
    other = saved(tmp_path / "3.png", np.zeros((1, 5, 5), np.uint8))
    with pytest.raises(UlnaError, match="a: its images differ in size: 4 × 5 and 5 × 5"):
        load_image(Case("a", (*case.images, other)))


def test_channels_are_brought_about_and_none_is_dropped(tmp_path: Path) -> None:
    ramp = np.arange(20, dtype=np.uint8).reshape(1, 4, 5)
    gray = saved(tmp_path / "1.png", ramp)
    both = saved(tmp_path / "2.tif", np.concatenate([ramp, ramp[:, ::-1]]))
    other = saved(tmp_path / "3.png", ramp[:, ::-1])
    four = saved(tmp_path / "4.tif", np.concatenate([ramp, ramp[:, ::-1], ramp + 9, np.full_like(ramp, 7)]))
    image = load_image(Case("a", (gray,)), channels=3)
    assert (image.array.shape, len(image.channels)) == ((3, 4, 5), 3)
    for sources, have, channels in (((both,), 2, 1), ((gray, other), 2, 1), ((four,), 4, 3), ((gray, both), 3, 1)):
        with pytest.raises(UlnaError, match=f"a: the image has {have} channels, the network takes {channels}"):
            load_image(Case("a", sources), channels=channels)
        assert len(load_image(Case("a", sources)).channels) == have


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize("suffix", ["png", "webp", "tif"])
def test_only_an_alpha_that_is_constant_is_dropped(tmp_path: Path, mode: str, suffix: str) -> None:
    colors = np.random.default_rng(0).integers(0, 256, (8, 9, 3)).astype(np.uint8)
    picture = Pillow.fromarray(colors).convert(mode)
    path = tmp_path / f"a.{suffix}"
    options = {"lossless": True} if suffix == "webp" else {}
    for alpha in (255, 0, 128):
        picture.putalpha(alpha)
        picture.save(path, **options)
        image = load_image(Case("a", (Source(path),)))
        assert len(image.channels) == (1 if mode == "LA" and suffix != "webp" else 3)
    picture.putalpha(Pillow.fromarray(colors[..., 0]))
    picture.save(path, **options)
    for channels in (0, 1, 3, 4):
        with pytest.raises(UlnaError, match="a: the image has a declared alpha channel"):
            load_image(Case("a", (Source(path),)), channels=channels)


def test_a_case_without_a_mask(tmp_path: Path) -> None:
    with pytest.raises(UlnaError, match="no mask"):
        load_truth(Case("a", (Source(tmp_path / "a.png"),)))
    with pytest.raises(ReadError, match="no such file"):
        load_image(Case("a", (Source(tmp_path / "a.png"),)))


def cases_of(groups: list[int]) -> tuple[Case, ...]:
    return tuple(Case(f"c{k}", (Source(Path(f"{k}.png")),), group=f"g{group}") for k, group in enumerate(groups))


@settings(max_examples=80, deadline=None)
@given(
    groups=st.lists(st.integers(0, 12), min_size=2, max_size=60).filter(lambda g: len(set(g)) > 1),
    share=st.floats(0.01, 0.99),
    seed=st.integers(0, 99),
)
def test_a_split_parts_groups_and_loses_nothing(groups: list[int], share: float, seed: int) -> None:
    cases = cases_of(groups)
    rest, kept = split_by_group(cases, share, seed)
    assert rest
    assert kept
    assert {case.group for case in rest}.isdisjoint(case.group for case in kept)
    assert sorted((*rest, *kept), key=lambda case: case.name) == sorted(cases, key=lambda case: case.name)
    assert [case for case in cases if case in kept] == list(kept)
    assert split_by_group(cases, share, seed) == (rest, kept)
    largest = max(groups.count(group) for group in set(groups))
    assert abs(len(kept) - share * len(cases)) <= largest


def test_the_seed_draws_the_split() -> None:
    cases = cases_of(list(range(100)))
    splits = {split_by_group(cases, 0.1, seed)[1] for seed in range(10)}
    assert len(splits) == 10
    assert {len(kept) for kept in splits} == {10}


def test_a_case_without_group_is_its_own() -> None:
    cases = tuple(Case(f"c{k}", ()) for k in range(10))
    assert len(split_by_group(cases, 0.3, 0)[1]) == 3


def test_one_group_cannot_be_split() -> None:
    with pytest.raises(UlnaError, match="3 cases in 1 group cannot be split"):
        split_by_group(cases_of([1, 1, 1]), 0.5, 0)


def test_select() -> None:
    dataset = Dataset(cases_of([1, 2, 3]), "three")
    assert [case.name for case in select(dataset, ["c2", " c0\n", "", "c2"]).cases] == ["c0", "c2"]
    with pytest.raises(UlnaError, match=r"no case or group 'c02'\nDid you mean 'c"):
        select(dataset, ["c02"])
    with pytest.raises(UlnaError, match="and 2 more"):
        select(dataset, ["v", "w", "x", "y", "z"])
    with pytest.raises(UlnaError, match="empty"):
        select(dataset, ["", " "])


@pytest.mark.parametrize(
    ("known", "wanted"), [("M\u00fcller", "Mu\u0308ller"), ("Mu\u0308ller", "M\u00fcller"), (" a ", "a")]
)
def test_one_name_spelt_in_two_ways_is_one_name(known: str, wanted: str) -> None:
    dataset = Dataset((Case(known, ()), Case("b", ())), "two")
    assert [case.name for case in select(dataset, [wanted]).cases] == [known]


def test_lists_of_names_are_read_back(tmp_path: Path) -> None:
    """Also names whose bytes are no proper UTF-8, which Linux allows."""
    names = ("a b", "Zürich/日本", "cell\udcff")
    write_names(tmp_path / "list.txt", [Case(name, ()) for name in names])
    assert (tmp_path / "list.txt").read_bytes().endswith(b"\ncell\xff\n")
    assert case_names(tmp_path / "list.txt") == names
    (tmp_path / "windows.txt").write_bytes("\ufeffa\r\nb\r\n".encode())
    assert case_names(tmp_path / "windows.txt") == ("a", "b")
    for content in ("a\nb\n".encode("utf-16"), b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"):
        (tmp_path / "other.txt").write_bytes(content)
        with pytest.raises(UlnaError, match="list of cases cannot be read"):
            case_names(tmp_path / "other.txt")


def test_a_case_is_weighed_by_its_headers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = saved(tmp_path / "1.png", np.zeros((3, 40, 50), np.uint8))
    second = saved(tmp_path / "2.tif", np.zeros((1, 40, 50), np.uint16))
    (tmp_path / "3.png").write_text("no image")
    monkeypatch.setattr("ulna.formats.base.Reader.read", None)  # nothing is decoded
    broken = Source(tmp_path / "3.png")
    assert case_bytes(Case("a", (first,))) == 40 * 50 * (3 + 4 * 3 + 8)
    assert case_bytes(Case("a", (first, second, broken))) == 40 * 50 * (3 + 4 * 3 + 8 + 2 + 4 + 8)


def test_quiet_passes_on() -> None:
    assert list(quiet([1, 2], "work")) == [1, 2]


def test_modalities_of_different_places_are_not_stacked(tmp_path: Path) -> None:
    array = np.zeros((1, 20, 30), np.uint8)
    for name, spacing in (("a", 0.5), ("b", 0.5), ("c", 0.4)):
        formats.write(tmp_path / f"{name}.tif", Image(array, Grid((20, 30), (spacing, spacing), "µm")))
    formats.write(tmp_path / "d.tif", Image(array))  # says nothing

    def case(*names: str) -> Case:
        return Case("x", tuple(Source(tmp_path / f"{name}.tif") for name in names))

    assert load_image(case("a", "b", "d")).array.shape == (3, 20, 30)
    with pytest.raises(UlnaError, match=r"x: .*a\.tif .*0\.5 × 0\.5 µm.*c\.tif .*0\.4 × 0\.4 µm"):
        load_image(case("a", "c"))

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ulna.dataset import Case
from ulna.errors import UlnaError
from ulna.folds import FILE, Folds, fold_folder, fold_folders, holds_folds, read_folds, split_into_folds, write_folds


def cases(sizes: list[int]) -> list[Case]:
    return [Case(f"{group}_{k}", (), group=f"g{group}") for group, size in enumerate(sizes) for k in range(size)]


@given(sizes=st.lists(st.integers(1, 9), min_size=2, max_size=12), count=st.integers(2, 6), seed=st.integers(0, 99))
def test_a_split_keeps_groups_together_and_is_even(sizes: list[int], count: int, seed: int) -> None:
    given_cases = cases(sizes)
    if count > len(sizes):
        with pytest.raises(UlnaError, match=f"Write --folds {len(sizes)} at most"):
            split_into_folds(given_cases, count, seed)
        return
    folds = split_into_folds(given_cases, count, seed)
    assert folds.names == tuple(case.name for case in given_cases)
    assert folds == split_into_folds(given_cases, count, seed)
    assert folds.count == count
    assert len(set(zip(folds.groups, folds.numbers, strict=True))) == len(sizes)
    held_out = Counter(folds.numbers)
    assert max(held_out.values()) - min(held_out.values()) <= max(sizes)
    for fold in range(count):
        learned, out = folds.places(fold)
        assert sorted((*learned, *out)) == list(range(len(given_cases)))
        assert {folds.groups[place] for place in learned}.isdisjoint(folds.groups[place] for place in out)


def test_the_seed_draws_which_groups_go_together() -> None:
    alike = cases([1] * 12)
    assert len({split_into_folds(alike, 3, seed).numbers for seed in range(5)}) > 1


def test_a_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    folds = Folds(('a, "b"', "\udcff", "c"), ("g\n1", "g2", "g2"), (0, 1, 1))
    write_folds(tmp_path, folds)
    assert read_folds(tmp_path) == folds
    assert holds_folds(tmp_path)
    assert not holds_folds(tmp_path / "else")
    assert list(fold_folders(tmp_path)) == [fold_folder(tmp_path, 0), tmp_path / "fold1"]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "cannot be read"),
        ("case,group\na,b\n", "its columns are case, group"),
        ("case,group,fold\na,b\n", "cannot be read"),
        ("case,group,fold\na,b,x\n", "cannot be read"),
        ("case,group,fold\na,b,1\n", "a fold holds out nothing"),
    ],
)
def test_what_is_no_table_of_folds_is_refused(text: str, what: str, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(UlnaError, match=what):
        read_folds(tmp_path)


def test_changed_data_are_named() -> None:
    before = cases([2, 2])
    folds = split_into_folds(before, 2, 0)
    folds.check_same(before, where="run")
    for now, what in (
        (before[1:], r"1 are missing \(0_0\)"),
        ([*before, Case("new", ())], r"1 are new \(new\)"),
        ([Case("0_0", (), group="g1"), *before[1:]], r"1 are of another group \(0_0\)"),
    ):
        with pytest.raises(UlnaError, match=what):
            folds.check_same(now, where="run")

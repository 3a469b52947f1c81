"""Words in names."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ulna.image import Source
from ulna.layouts.listing import Entry, natural
from ulna.layouts.matching import folder_role, is_mask_name, pair, words


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("imagesTr", ["images", "tr"]),
        ("img001", ["img", "001"]),
        ("JPEGImages", ["jpeg", "images"]),
        ("IMGs", ["imgs"]),
        ("Ground Truth", ["groundtruth"]),
        ("ground_truth", ["groundtruth"]),
        ("TCGA_CS_4941", ["tcga", "cs", "4941"]),
        ("benign (1)_mask", ["benign", "1", "mask"]),
    ],
)
def test_words(name: str, expected: list[str]) -> None:
    assert words(name) == expected


def test_roles_of_folders() -> None:
    roles = {name: folder_role(name) for name in ("images", "Labels", "x", "Y", "image_masks", "patient1", "imagesTs")}
    assert roles == {
        "images": "image",
        "Labels": "mask",
        "x": "image",
        "Y": "mask",
        "image_masks": "mask",
        "patient1": "",
        "imagesTs": "image",
    }


def test_names_of_masks() -> None:
    for name in ("a_mask", "label-01", "a.seg", "gt3", "A_Labels", "mask", "train_1_anno"):
        assert is_mask_name(name), name
    for name in ("a", "masked man", "x_y", "unmask_1"):
        assert not is_mask_name(name), name


def entries(names: list[str]) -> list[Entry]:
    return [Entry((), Source(Path(f"{name}.png"))) for name in names]


@settings(max_examples=60, deadline=None)
@given(
    names=st.lists(
        st.from_regex(r"[a-z]{2,4}_?[0-9]{1,3}", fullmatch=True),
        unique_by=lambda name: tuple(words(name)),
        min_size=1,
        max_size=8,
    ),
    suffix=st.sampled_from(["", "_mask", "-labels", "_gt"]),
    order=st.randoms(use_true_random=False),
)
def test_every_image_finds_its_own_mask_in_any_order(names: list[str], suffix: str, order: Random) -> None:
    masks = entries([name + suffix for name in names])
    order.shuffle(masks)
    found = pair(entries(names), masks, lambda entry: entry.folders)
    assert not found.images
    assert not found.masks
    for (image,), mask in found.pairs:
        assert mask.stem == image.stem + suffix


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 10_000), max_size=20))
def test_natural_order_is_the_order_of_numbers(numbers: list[int]) -> None:
    assert sorted((f"a{n}" for n in numbers), key=natural) == [f"a{n}" for n in sorted(numbers)]

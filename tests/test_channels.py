"""Which channels of an image are used: by number, by name, and what is said where there is none."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch

from ulna.channels import choose, positions, taken_by_number, used
from ulna.config import Config
from ulna.data_section import DataConfig
from ulna.errors import UlnaError
from ulna.image import Channel, Image
from ulna.planning import Fingerprint, plan

BRAIN = tuple(Channel(name) for name in ("T1", "T2", "FLAIR", "7"))


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ((), (0, 1, 2, 3)),
        ((2,), (2,)),
        (("flair",), (2,)),
        (("FLAIR", 0), (2, 0)),
        (("t2f|flair|0",), (2,)),
        (("t2f | 1",), (1,)),
        (("7",), (3,)),
        ((3, "t1"), (3, 0)),
    ],
)
def test_channels_are_found(wanted: tuple[Any, ...], found: tuple[int, ...]) -> None:
    assert positions(BRAIN, wanted) == found
    image = Image(np.arange(4 * 6).reshape(4, 2, 3), channels=BRAIN)
    chosen = choose(image, wanted)
    assert np.array_equal(chosen.array, image.array[list(found)])
    assert chosen.channels == tuple(BRAIN[k] for k in found)
    assert (chosen is image) == (wanted == ())


@pytest.mark.parametrize("wanted", [("t1c",), (4,), ("t1c|9",)])
def test_a_channel_that_is_not_there_is_named(wanted: tuple[Any, ...]) -> None:
    image = Image(np.zeros((4, 2, 3)), channels=BRAIN)
    what = f"b: the image has no channel '{wanted[0]}': it has 4 channels, T1, T2, FLAIR, 7"
    with pytest.raises(UlnaError, match=re.escape(what)) as caught:
        choose(image, wanted, where="b")
    assert "--set data.use_channels=[0]" in caught.value.hint


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ((), ""),
        ((0, "flair"), ""),
        (("T1|9",), ""),
        (("t2f|1",), "none of its channels is called 't2f': channel 1 (T2) is used for it"),
    ],
)
def test_that_a_number_decides_is_said(wanted: tuple[Any, ...], says: str) -> None:
    assert taken_by_number(BRAIN, wanted) == says


def test_names_that_several_channels_have_name_none() -> None:
    gray = (Channel("gray"), Channel("gray"))
    assert positions(gray, [1]) == (1,)
    with pytest.raises(UlnaError, match="no channel 'gray'"):
        positions(gray, ["gray"])
    with pytest.raises(UlnaError, match="channel 1 of the image is to be used twice"):
        positions(gray, [1, "red|1"])


@pytest.mark.parametrize(
    ("given", "kept"), [(0, (0,)), ("flair", ("flair",)), ([0, "t2"], (0, "t2")), ([], ()), (None, ())]
)
def test_the_setting(given: object, kept: tuple[object, ...]) -> None:
    data = Config.parse({"data": {"use_channels": given}}).data
    assert data.use_channels == kept
    assert data.inputs == len(kept)
    assert Config.parse({"data": {"channels": 3}}).data.inputs == 3


def test_a_number_below_zero_is_refused() -> None:
    with pytest.raises(UlnaError, match=r"data.use_channels must be names, or numbers from 0 on, not \[-1\]"):
        Config.parse({"data": {"use_channels": [-1]}})


def images(*names: str) -> list[Channel]:
    return [Channel(name) for name in names]


@pytest.mark.parametrize(
    ("learned", "own", "places"),
    [
        (("T1", "T1 contrast", "T2", "FLAIR"), ("FLAIR", "T1w", "T1gd", "T2w"), (1, 2, 3, 0)),
        (("FLAIR", "T1w", "t1gd", "T2w"), ("T1", "T1 contrast", "T2", "FLAIR"), (3, 0, 1, 2)),
        (("DAPI", "GFP"), ("gfp", "dapi"), (1, 0)),
        (("DAPI", "GFP"), ("DAPI", "GFP"), (0, 1)),
        (("DAPI", "GFP"), ("channel 0", "channel 1"), (0, 1)),
        (("DAPI", "GFP"), ("gray", "gray"), (0, 1)),
        (("a", "b", "c"), ("red", "green", "blue"), (0, 1, 2)),
        (("T1", "T1w"), ("T1w", "T1"), (1, 0)),  # two that are called alike elsewhere
        (("DAPI", "GFP"), ("DAPI", "GFP", "Cy5"), (0, 1, 2)),  # how many there are is judged elsewhere
        ((), ("GFP", "DAPI"), (0, 1)),
    ],
)
def test_channels_are_put_into_the_order_that_was_learned(
    learned: tuple[str, ...], own: tuple[str, ...], places: tuple[int, ...]
) -> None:
    found, said = used(images(*own), DataConfig(channel_names=learned))
    assert found == places
    assert bool(said) == (places != tuple(range(len(own))))


def test_other_names_at_the_same_places_are_said() -> None:
    found, said = used(images("405", "488 nm"), DataConfig(channel_names=("DAPI", "GFP")))
    assert found == (0, 1)
    found, said = used(images("Hoechst", "GFP"), DataConfig(channel_names=("DAPI", "GFP")))
    assert found == (0, 1)
    assert said == "its channels are called Hoechst, GFP, those learned DAPI, GFP: they are taken in this order"


@pytest.mark.parametrize(
    ("learned", "own"),
    [
        (("T1 contrast", "FLAIR"), ("T1", "T2")),  # other sequences
        (("DAPI", "GFP"), ("GFP", "Cy5")),  # one of them at the place of another
    ],
)
def test_other_channels_than_those_learned_are_refused(learned: tuple[str, ...], own: tuple[str, ...]) -> None:
    with pytest.raises(UlnaError, match=r"its channels are called .* those learned") as raised:
        used(images(*own), DataConfig(channel_names=learned))
    assert "data.channel_names=[]" in raised.value.hint


def test_the_plan_takes_the_names_that_all_images_have() -> None:
    def decided(names: tuple[str, ...], changes: dict[str, Any]) -> dict[str, Any]:
        facts = Fingerprint(len(names), ((32, 32),) * 3, ("background", "a"), 1, channel_names=names)
        made = plan(Config().changed(changes), facts, device=torch.device("cpu"))
        return {one.key: one.value for one in made.decisions}

    assert decided(("DAPI", "GFP"), {})["data.channel_names"] == ("DAPI", "GFP")
    assert "data.channel_names" not in decided(("channel 0", "channel 1"), {})
    assert decided(("DAPI", "GFP"), {"data.channel_names": []})["data.channel_names"] == ()
    assert decided(("DAPI", "GFP"), {"data.channel_names": ["dapi", "gfp"]})["data.channel_names"] == ("dapi", "gfp")
    assert "data.channel_names" not in decided(("DAPI", "GFP"), {"data.use_channels": ["GFP"]})
    with pytest.raises(UlnaError, match="the channels are called DAPI, GFP, in this order"):
        decided(("DAPI", "GFP"), {"data.channel_names": ["GFP", "DAPI"]})

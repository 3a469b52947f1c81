from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ulna.errors import ReadError, UlnaError, WriteError
from ulna.image import Image, Source


def test_an_image_knows_its_axes() -> None:
    image = Image(np.zeros((3, 4, 5), np.uint16), source=Source(Path("a.tif")))
    assert (image.ndim, image.channels, image.shape, image.spacing) == (2, 3, (4, 5), (1.0, 1.0))
    assert np.array_equal(image.direction, np.eye(2))
    volume = Image(np.zeros((1, 2, 4, 5)), spacing=(5, 1, 1), unit="µm")
    assert (volume.ndim, volume.origin, volume.spacing) == (3, (0, 0, 0), (5, 1, 1))


def test_a_mask_stays_where_its_image_is() -> None:
    image = Image(np.zeros((3, 4, 5)), spacing=(0.5, 0.25), source=Source(Path("a.tif")))
    mask = image.with_array(np.ones((1, 4, 5), np.uint8), ("background", "cell"))
    assert (mask.spacing, mask.source, mask.classes) == (image.spacing, image.source, ("background", "cell"))
    with pytest.raises(UlnaError, match=r"\(5, 4\) is not the image's \(4, 5\)"):
        image.with_array(np.ones((1, 5, 4), np.uint8))


@pytest.mark.parametrize("shape", [(4, 5), (1, 1, 1, 4, 5)])
def test_other_numbers_of_axes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(UlnaError, match="2 or 3 spatial axes"):
        Image(np.zeros(shape))


def test_spacing_must_suit_the_axes() -> None:
    with pytest.raises(UlnaError, match="must suit 2 spatial axes"):
        Image(np.zeros((1, 4, 5)), spacing=(1, 1, 1))


def test_a_source_says_where_it_lies() -> None:
    source = Source(Path("data.zip"), ("inner.zip", "a/IMG.TIF"), page=3)
    assert (source.name, source.stem, source.suffix) == ("IMG.TIF", "IMG_0003", ".tif")
    assert str(source) == "data.zip!inner.zip!a/IMG.TIF, page 3"
    assert sorted([Source(Path("b")), Source(Path("a"))])[0].path == Path("a")


def test_a_member_that_windows_packed_has_a_name_without_folders() -> None:
    source = Source(Path("data.zip"), ("images\\a.b.PNG",))
    assert (source.name, source.stem, source.suffix) == ("a.b.PNG", "a.b", ".png")
    assert Source(Path("data.zip"), ("a.zip", "masks\\a.png"), page=1).stem == "a_0001"


@pytest.mark.parametrize("kind", [UlnaError, ReadError, WriteError])
def test_an_error_says_what_where_and_what_to_do(kind: type[UlnaError]) -> None:
    error = kind("is broken", where=Path("a.png"), hint="Mend it.")
    assert str(error) == "a.png: is broken\nMend it."
    assert (error.what, error.where, error.hint) == ("is broken", "a.png", "Mend it.")
    assert str(kind("is broken")) == "is broken"
    assert isinstance(error, UlnaError)

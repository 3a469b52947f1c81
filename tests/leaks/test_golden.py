"""The measures of a few made images, as they were: a change of any of their constants is a decision."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from golden_values import Golden
from small_images import cells, names, tiles
from ulna.image import Array
from ulna.leaks import find_groups, fingerprint
from ulna.leaks.duplicates import thumbnail
from ulna.leaks.edges import border_edges, find_seams
from ulna.leaks.patches import find_overlaps, sketch
from ulna.leaks.seen import Seen


def pictures() -> list[Array]:
    """Tiles of one picture, two of another that overlap, near and equal copies, and strangers."""
    joined = tiles(cells((192, 288), 2), 2, 3)
    wide = cells((160, 300), 8)
    overlapping = [wide[:, :, :160], wide[:, :, 120:]]
    one = cells((150, 170), 11)
    brighter = (one * 0.7 + 9).astype(np.uint8)
    return [*joined, *overlapping, one, brighter[:, ::-1], one.copy(), *(cells((96, 96), seed) for seed in (21, 22))]


def test_groups_and_their_reasons(golden: Golden) -> None:
    images = pictures()
    found = find_groups(images, names(images))
    pairs = [[pair.first, pair.second, pair.kind, pair.strength] for pair in found.pairs]
    golden.check("groups", {"groups": found.groups, "pairs": pairs}, near=1e-3)


def test_seams(golden: Golden) -> None:
    images = pictures()[:6] + [cells((96, 96), seed) for seed in range(20, 26)]
    colored = [np.concatenate([image, image[:, ::-1], image // 2]) / 1e3 for image in images]
    volumes = [*np.split(cells((32, 96, 96), 3, spots=400), 2, axis=3), cells((32, 96, 48), 4, spots=400)]
    found = {
        "gray": find_seams([border_edges(image) for image in images]),
        "color": find_seams([border_edges(image) for image in colored]),
        "volumes": find_seams([border_edges(image) for image in volumes]),
    }
    golden.check("seams", found, near=1e-2)


def test_thumbnails(golden: Golden) -> None:
    holed = cells((150, 170), 3).astype(np.float32)
    holed[0, 5:9, 5:9] = np.nan
    faint = np.random.default_rng(0).normal(90, 1, (1, 128, 128))
    edged = faint.copy()
    edged[:, :, :20] += ndimage.gaussian_filter(np.random.default_rng(1).normal(0, 60, (1, 128, 20)), 1)
    images = {
        "gray": cells((150, 170), 3),
        "small": cells((40, 70), 3),
        "color": np.concatenate([cells((150, 170), seed) for seed in (3, 4, 5)]),
        "holed": holed,
        "noise": faint,
        "edged": edged,
        "volume": cells((24, 64, 64), 4, spots=30),
        "large": cells((1300, 1200), 4)[:, ::1],
    }
    golden.check("thumbnails", {name: thumbnail(image).ravel()[5::197] for name, image in images.items()}, near=1e-3)


def test_sketches(golden: Golden) -> None:
    color = np.concatenate([cells((90, 110), seed) for seed in (3, 4, 5)])
    images = {
        "gray": cells((90, 110), 3),
        "gray as color": np.repeat(cells((90, 110), 3), 3, axis=0),
        "color": color,
        "floats": color / 7,
        "volume": cells((5, 40, 50), 3, spots=600),
        "small": cells((20, 21), 5, spots=3000),
        "smallest": cells((8, 8), 5, spots=20000),
        "smaller": cells((7, 9), 5, spots=20000),
    }
    made = {name: sketch(image) for name, image in images.items()}
    found = {
        name: [one.hashes[:4], one.places[:4], len(one.hashes), one.shape, one.complete, one.reach]
        for name, one in made.items()
    }
    assert found["gray"][0].tolist() == found["gray as color"][0].tolist()
    picture = cells((200, 260), 6)
    parts = [picture[:, top : top + 120, left : left + 120] for top, left in ((0, 0), (60, 60), (80, 100), (0, 140))]
    found["overlaps"] = list(find_overlaps([sketch(part) for part in parts]))
    golden.check("sketches", found)


def test_what_a_model_keeps_of_its_images(golden: Golden) -> None:
    images = pictures()
    prints = [fingerprint(image) for image in images]
    seen = Seen.of([prints[0], prints[6]], [prints[8], fingerprint(np.zeros((1, 20, 20)))])
    kept = Seen.from_bytes(seen.to_bytes())
    found = {
        "parts": kept.parts,
        "digests": [one.digest.hex() for one in kept.prints],
        "thumbnails": [one.thumbnail.ravel()[3::67] for one in kept.prints],
        "sketches": [[len(one.sketch.hashes), one.sketch.complete, one.sketch.shape] for one in kept.prints],
        "recognized": kept.recognize(prints),
    }
    assert seen.recognize(prints) == kept.recognize(prints)
    golden.check("seen", found, near=1e-3)

"""The tiles of a few images, as they were."""

from __future__ import annotations

from golden_values import Golden
from ulna.inference.axes import least_tile
from ulna.inference.tiles import exact_tiles, plan_tiles
from ulna.networks.geometry import AxisGeometry, Geometry

SAME, VALID, FLAT = AxisGeometry(8, 22), AxisGeometry(8, 30, 28, 60, 5), AxisGeometry(1, 2)


def test_tiles(golden: Golden) -> None:
    same, valid, deep = Geometry((SAME, SAME)), Geometry((VALID, VALID)), Geometry((FLAT, SAME, SAME))
    made = {
        "exact": exact_tiles((150, 97), same, tile=100, margin=6),
        "exact, in one": exact_tiles((80, 85), same, tile=100, margin=6),
        "exact, valid": exact_tiles((150, 97), valid, tile=140, margin=6),
        "exact, deep": exact_tiles((9, 40, 120), deep, tile=80, margin=0),
        "blended": plan_tiles((150, 97), same, tile=64, margin=6, strategy="blended"),
        "blended, valid": plan_tiles((150, 40), valid, tile=100, margin=0, strategy="blended"),
        "blended, deep": plan_tiles((9, 40, 60), deep, tile=32, margin=3, strategy="blended"),
        "enlarged": plan_tiles((150, 97), same, tile=20, margin=6, enlarge=True),
        "chosen": plan_tiles((20, 300, 300), deep, tile=48, margin=4, enlarge=True),
    }
    found = {
        name: [tiling.size, len(tiling.tiles)]
        + [[one.start, one.source, one.target, [weights[::9] for weights in one.weights]] for one in tiling.tiles[:9]]
        for name, tiling in made.items()
    }
    found["least"] = [least_tile(axis) for axis in (SAME, VALID, FLAT)]
    golden.check("tiles", found)

"""Ways to lay out a data set, inferred from names. One file per layout; a new one is a line in `LAYOUTS`."""

from __future__ import annotations

from ulna.layouts.images import Found, Place, find, find_cases, find_images
from ulna.layouts.patterns import Patterns
from ulna.layouts.reading import LAYOUTS, read_dataset

__all__ = ["LAYOUTS", "Found", "Patterns", "Place", "find", "find_cases", "find_images", "read_dataset"]

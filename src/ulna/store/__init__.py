"""The cases of a training, decoded once: images, labels and what was measured on them, mapped into memory."""

from ulna.store.builder import build, planned
from ulna.store.cases import StoredCase
from ulna.store.intensities import Intensities
from ulna.store.mapped import Store

__all__ = ["Intensities", "Store", "StoredCase", "build", "planned"]

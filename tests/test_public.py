"""What is public is a decision: these names, and no others."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

import pytest

import ulna

PUBLIC = {
    "benchmark",
    "check",
    "demo",
    "evaluate",
    "export",
    "load",
    "measure",
    "plan",
    "predict",
    "settings",
    "split",
    "summary",
    "train",
}
NOUNS = {"Config", "FCN8", "Image", "Model", "Prediction", "UNet", "UlnaError"}


def test_the_public_names_are_exactly_those_meant() -> None:
    assert set(ulna.__all__) == PUBLIC | NOUNS | {"__version__"}
    assert dir(ulna) == sorted(ulna.__all__)
    assert ulna.__version__ == version("ulna")


@pytest.mark.parametrize("name", sorted(PUBLIC | NOUNS))
def test_each_can_be_called_and_is_explained(name: str) -> None:
    value = getattr(ulna, name)
    assert callable(value)
    assert value.__doc__
    assert value.__name__ == name
    assert isinstance(value, type) == (name in NOUNS)


def test_other_names_are_not_there() -> None:
    with pytest.raises(AttributeError, match="no attribute 'fit'"):
        _ = ulna.fit  # type: ignore[attr-defined]


def test_importing_is_light() -> None:
    code = "import sys, ulna; print(sorted({'torch', 'matplotlib', 'numpy', 'lightning'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

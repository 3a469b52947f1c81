"""`export`: a trained network as a file for other programs, with a page that says how to run it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from rich.console import Group
from rich.markup import escape

from ulna import modelfile
from ulna.console import Printed
from ulna.dataset import Progress, quiet
from ulna.errors import UlnaError
from ulna.inference.engines import quantized_in
from ulna.inference.engines.choose import pip_line
from ulna.inference.engines.compiled import weights_hash
from ulna.inference.engines.openvino_engine import FIGURES, GRAPHS
from ulna.jobs.export_files import WRITERS, read_openvino, write_openvino
from ulna.jobs.export_words import page
from ulna.jobs.quantization import Quantized, quantized_model
from ulna.metrics.files import atomic_directory, check_free
from ulna.model import Model, load
from ulna.paths import expand_home
from ulna.text import listed

Kind = Literal["onnx", "openvino", "pt2", "bioimageio"]
Precision = Literal["float32", "int8"]

PAGE = "README.md"
"""The page beside an exported network."""

FILES: dict[str, tuple[str, ...]] = {
    "onnx": ("model.onnx",),
    "openvino": ("model.xml", "model.bin"),
    "pt2": ("model.pt2",),
    "bioimageio": ("model.zip",),
}
"""The files of each kind of export."""

NEEDS = {"onnx": ("onnx", "onnx"), "openvino": ("openvino", "openvino"), "bioimageio": ("onnx", "onnx")}
"""The package that a kind needs, and the extra that installs it."""


@dataclass(frozen=True)
class Exported(Printed):
    """What was exported; it prints itself.

    Parameters
    ----------
    folder
        Where the files are.
    files
        The network's files, and the page that says how to run it.
    quantized
        In INT8, what that changed.
    """

    folder: Path
    files: tuple[Path, ...]
    quantized: Quantized | None = None

    def __repr__(self) -> str:
        return f"<Exported: {listed([path.name for path in self.files], 8)}; {self.folder}>"

    def __rich__(self) -> Group:
        """What was written and, in INT8, what it changed."""
        names = ", ".join(path.name for path in self.files)
        said = [escape(str(self.quantized))] if self.quantized else []
        return Group(*said, f"written to {escape(str(self.folder))}: {names}")


@expand_home
def export(
    run: str | Path | Model,
    to: Kind,
    *,
    out: str | Path,
    precision: Precision = "float32",
    overwrite: bool = False,
    progress: Progress = quiet,
) -> Exported:
    """Write a trained network as a file that runs without `ulna`.

    It takes normalized images and gives probabilities; `README.md` beside it, and in the file itself a JSON text named
    `ulna`, say what normalization is meant, which sizes suit it, and how masks are made of what it gives. The models of
    several folds are one network, which gives their mean.

    Parameters
    ----------
    run
        A run's folder, a model file or a `Model`.
    to
        "onnx" (one file, for ONNX Runtime and many others), "openvino" (two files), "pt2" (PyTorch's own, read by
        `torch.export.load`) or "bioimageio" (a package for Fiji, QuPath, ilastik and others, with weights as ONNX and
        TorchScript).
    out
        The folder for the files.
    precision
        "int8" quantizes a network for OpenVINO: on windows that the run has kept. What that changes is measured on the
        run's validation cases, and refused where Dice, or of objects AP, falls by more than .005. The quantized network
        is kept in the run, too, where `inference.precision=int8` finds it.
    overwrite
        Whether an earlier export in `out` may be replaced.
    progress
        Goes through the cases that INT8 is measured on.

    Returns
    -------
    Exported
        The files.

    Raises
    ------
    UlnaError
        For a library that is not installed, an INT8 that is refused or cannot be measured, and files in the way.

    Examples
    --------
    >>> ulna.export("run", "pt2", out="exported")
    <Exported: model.pt2, README.md; exported>
    """
    _check(to, precision)
    model = run if isinstance(run, Model) else load(run, device="cpu")
    if model.device.type != "cpu":
        raise UlnaError(f"this model is on {model.device}", where="run", hint='Load it with device="cpu".')
    folder, names = Path(out), (*FILES[to], PAGE)
    check_free(folder, names, overwrite=overwrite)
    found = _quantized(model, run, progress) if precision == "int8" else None
    notes = [f"INT8 by NNCF: {found}."] if found else []
    readme = page(model, list(FILES[to]), notes)
    with atomic_directory(folder, names, overwrite=overwrite) as fresh:
        if found:
            write_openvino(read_openvino(found.folder / GRAPHS["own"]), model, fresh, figures=found.as_json())
        else:
            WRITERS[to](model, fresh, readme)
        (fresh / PAGE).write_text(readme, "utf-8")
    return Exported(folder, tuple(folder / name for name in names), found)


def _check(to: str, precision: str) -> None:
    if to not in FILES:
        raise UlnaError(f"there is no export to '{to}'", where="--to", hint=f"Known: {', '.join(FILES)}.")
    if precision not in ("float32", "int8"):
        raise UlnaError(f"there is no export in '{precision}'", where="--precision", hint="Known: float32, int8.")
    if precision == "int8" and to != "openvino":
        hint = "Add --to openvino, or leave --precision away."
        raise UlnaError("INT8 is exported for OpenVINO alone", where="--precision int8", hint=hint)
    package_name, extra = NEEDS.get(to, ("", ""))
    if package_name and find_spec(package_name) is None:
        hint = f"Install it with: {pip_line(extra)}"
        raise UlnaError(f"the package {package_name} is not installed", where=f"--to {to}", hint=hint)


def _quantized(model: Model, run: str | Path | Model, progress: Progress) -> Quantized:
    """The quantized network of the run: the one that is there, or else made now."""
    home = model.saved.folder if isinstance(run, Model) else modelfile.find(run).parent
    if home is None:
        what = "INT8 needs windows and validation cases of a run, and this model has none"
        raise UlnaError(what, where="run", hint="Name the run's folder.")
    there = quantized_in(home)
    if there is not None:
        said = json.loads((there / FIGURES).read_text("utf-8"))
        if said.get("weights") == weights_hash(model.network) and "scores" in said:
            scores = {name: (one["float32"], one["int8"]) for name, one in said["scores"].items()}
            return Quantized(there, int(said["cases"]), scores)
    return quantized_model(model, home, progress=progress)

"""Build the wheel and the source archive, look at what they hold, install the wheel elsewhere, and use it there.

The wheel is installed into an environment of its own, which sees nothing of this clone. The libraries that it declares,
and what these need in turn, are linked there from the environment that runs this script: a library that is used and
not declared is missing, as it would be for a user. `--download` installs them anew, as pip does it for a user.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"
LARGEST = 3_000_000
"""Bytes of a wheel or a source archive."""

OUTSIDE = {"tests", "benchmarks", "docs", ".git", ".venv", ".github"}
"""What belongs into neither."""

TINY = ["training.steps=3", "network.widths=[4,8]", "training.patch=[32,32]", "training.batch_size=2"]

LOOK = """
import importlib.resources, pathlib, sys
import ulna
from ulna.preset import preset_names, load_preset
from ulna.synthetic import write_dataset
place = pathlib.Path(ulna.__file__).resolve()
assert pathlib.Path(sys.prefix).resolve() in place.parents, place
package = importlib.resources.files("ulna")
for name in ("py.typed", "report/page.html.j2"):
    assert package.joinpath(name).is_file(), name
assert [load_preset(name) for name in preset_names()], "no preset"
write_dataset("cells", 6, size=(64, 64))
print(ulna.__version__, *preset_names())
"""


class Wrong(Exception):
    """What is wrong with a wheel, in words."""


def build(python: Sequence[str]) -> tuple[Path, Path]:
    """Make the wheel, by way of the source archive, which so proves to hold all that is needed: both paths."""
    shutil.rmtree(DIST, ignore_errors=True)
    run([*python, "-m", "build", "--no-isolation", "--outdir", DIST, ROOT], folder=ROOT)
    (wheel,), (archive,) = DIST.glob("*.whl"), DIST.glob("*.tar.gz")
    return wheel, archive


def package_files(source: Path) -> set[str]:
    """The files that the package is made of, as paths below `src`."""
    files = (path for path in (source / "ulna").rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(source).as_posix() for path in files}


def check_wheel(names: Iterable[str], wanted: set[str]) -> None:
    """Raise Wrong where a wheel lacks a file of the package, or holds anything but the package and its metadata."""
    held = {name for name in names if not name.endswith("/")}
    metadata = {name for name in held if name.partition("/")[0].endswith(".dist-info")}
    if missing := sorted(wanted - held):
        raise Wrong(f"the wheel lacks {len(missing)} files of the package: {', '.join(missing[:5])}")
    if more := sorted(held - wanted - metadata):
        raise Wrong(f"the wheel holds {len(more)} files that are no part of the package: {', '.join(more[:5])}")
    if not any(name.endswith("/LICENSE") for name in metadata):
        raise Wrong("the wheel holds no license")


def check_archive(names: Iterable[str], wanted: set[str]) -> None:
    """Raise Wrong where a source archive lacks what the wheel is built from, or holds tests, documents or data."""
    held = {name.partition("/")[2] for name in names}
    needed = {f"src/{name}" for name in wanted} | {"pyproject.toml", "README.md", "LICENSE"}
    if missing := sorted(needed - held):
        raise Wrong(f"the source archive lacks {len(missing)} files: {', '.join(missing[:5])}")
    if more := sorted(name for name in held if name.partition("/")[0] in OUTSIDE):
        raise Wrong(f"the source archive holds what belongs elsewhere: {', '.join(more[:5])}")


def check_size(path: Path) -> None:
    """Raise Wrong for a file that is larger than code can be."""
    if path.stat().st_size > LARGEST:
        raise Wrong(f"{path.name} has {path.stat().st_size:,} bytes, more than {LARGEST:,}")


def applies(need: Requirement, extras: set[str]) -> bool:
    """Whether a requirement holds on this machine, for someone who asked for these extras."""
    return need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in extras | {""})


def closure(declared: Iterable[str]) -> dict[str, Distribution]:
    """The installed libraries that a wheel declares, and what these need in turn, by their names."""
    direct = [need for need in map(Requirement, declared) if applies(need, set())]
    found: dict[str, Distribution] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = list(direct)
    while waiting:
        need = waiting.pop()
        name, key = canonicalize_name(need.name), (canonicalize_name(need.name), frozenset(need.extras))
        if key in seen:
            continue
        seen.add(key)
        try:
            found[name] = distribution(need.name)
        except PackageNotFoundError:
            if need in direct:
                raise Wrong(f"{need} is declared, but not installed here") from None
            continue  # GPU libraries of a PyTorch for CPUs
        more = map(Requirement, found[name].requires or ())
        waiting += [one for one in more if applies(one, need.extras)]
    return found


def link(libraries: dict[str, Distribution], packages: Path) -> None:
    """Let an environment see these libraries, and no others: a link for each of their files and folders."""
    for library in libraries.values():
        for file in library.files or ():
            top = file.parts[0]
            here, there = Path(str(library.locate_file(top))), packages / top
            if top not in ("..", "__pycache__") and here.exists() and not there.exists():
                there.symlink_to(here, target_is_directory=here.is_dir())


def run(words: Sequence[object], *, folder: Path) -> str:
    """What a command prints, run as a user would: without this clone on Python's path. Raises Wrong where it fails."""
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [str(word) for word in words],
        cwd=folder,
        env=surroundings | {"PYTHONNOUSERSITE": "1"},
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    if done.returncode:
        raise Wrong(f"{' '.join(map(str, words))} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def install(wheel: Path, place: Path, *, download: bool) -> Path:
    """A fresh environment with the wheel in it: the folder of its commands."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    run([sys.executable, "-m", "venv", "--without-pip", place], folder=place.parent)
    commands = place / ("Scripts" if os.name == "nt" else "bin")
    python = commands / ("python.exe" if os.name == "nt" else "python")
    how = ["-c", ROOT / "constraints.txt"] if download else ["--no-deps", "--no-index"]
    run([*pip, "--python", python, "install", "--quiet", *how, wheel], folder=place.parent)
    if not download:
        with zipfile.ZipFile(wheel) as opened:
            name = next(name for name in opened.namelist() if name.endswith(".dist-info/METADATA"))
            lines = opened.read(name).decode().splitlines()
        declared = [line.partition(": ")[2] for line in lines if line.startswith("Requires-Dist: ")]
        packages = run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], folder=place.parent)
        link(closure(declared), Path(packages.strip()))
    return commands


def use(commands: Path, folder: Path) -> None:
    """Look into the installed package, then train, predict and evaluate with its commands, from a folder elsewhere."""
    ulna, python = commands / "ulna", commands / "python"
    print(run([ulna, "--version"], folder=folder).strip())
    print(run([python, "-I", "-c", LOOK], folder=folder).strip())
    run([ulna, "train", "cells", "--out", "run", "--epochs", 1, "--set", *TINY], folder=folder)
    run([ulna, "predict", "run", "cells/images", "--out", "masks"], folder=folder)
    run([ulna, "evaluate", "masks", "cells", "--out", "scores"], folder=folder)
    for name in ("run/report.html", "run/model.safetensors", "masks/cells_005.png", "scores/scores.csv"):
        if not (folder / name).is_file():
            raise Wrong(f"{name} was not written")


def main() -> None:
    """Say what was tried; exit with code 2 where something is wrong."""
    parser = argparse.ArgumentParser(prog="try_wheel.py", description=__doc__)
    parser.add_argument(
        "--download", action="store_true", help="Install all libraries anew, pinned by constraints.txt."
    )
    options = parser.parse_args()
    try:
        wheel, archive = build([sys.executable])
        wanted = package_files(ROOT / "src")
        with zipfile.ZipFile(wheel) as opened:
            check_wheel(opened.namelist(), wanted)
        with tarfile.open(archive) as tar:
            check_archive(tar.getnames(), wanted)
        for made in (wheel, archive):
            check_size(made)
            print(f"{made.relative_to(ROOT)}: {made.stat().st_size:,} bytes")
        with tempfile.TemporaryDirectory(prefix="ulna-wheel-") as folder:
            commands = install(wheel, Path(folder) / "environment", download=options.download)
            elsewhere = Path(folder) / "elsewhere"
            elsewhere.mkdir()
            use(commands, elsewhere)
    except Wrong as wrong:
        parser.exit(2, f"{wrong}\n")
    print("The wheel works: it was installed by itself, and trained, predicted and evaluated from another folder.")


if __name__ == "__main__":
    main()

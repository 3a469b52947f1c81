"""What users get wrong: said in words, exit code 2, nothing partial."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest
import tifffile
import torch
from PIL import Image as Pillow
from safetensors import safe_open
from safetensors.torch import save_file

from command_line import SMALL, CommandLine, Result, all_files

if sys.platform == "win32":
    pytest.skip("limits of files are set as POSIX has them", allow_module_level=True)
import resource


def refused(said: Result, *words: str) -> None:
    assert said.code == 2, said
    text = said.out + said.err
    assert "Traceback" not in text
    for word in words:
        assert word in text, (word, text)


@pytest.fixture
def data(cells: Path, tmp_path: Path) -> Path:
    """A copy of the data set, to be spoilt."""
    shutil.copytree(cells, tmp_path / "data")
    return tmp_path / "data"


def no_such_folder(data: Path) -> None:
    shutil.rmtree(data)


def nothing_known(data: Path) -> None:
    shutil.rmtree(data)
    data.mkdir()
    (data / "notes.txt").write_text("no image")


def one_image(data: Path) -> None:
    for path in [*sorted((data / "images").iterdir())[1:], *sorted((data / "masks").iterdir())[1:]]:
        path.unlink()


def mask_of_another_size(data: Path) -> None:
    Pillow.new("L", (40, 40)).save(data / "masks" / "cells_002.png")


def corrupt(data: Path) -> None:
    path = data / "images" / "cells_002.png"
    path.write_bytes(path.read_bytes()[:300])


def not_a_number(data: Path) -> None:
    pixels = np.zeros((64, 64), np.float32)
    pixels[3, 4] = np.nan
    (data / "images" / "cells_002.png").unlink()
    tifffile.imwrite(data / "images" / "cells_002.tif", pixels)


def masks_of_anything(data: Path) -> None:
    for k, path in enumerate(sorted((data / "masks").iterdir())):
        noise = np.random.default_rng(k).integers(0, 255, (64, 64, 3), dtype=np.uint8)
        Pillow.fromarray(noise).save(path)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (no_such_folder, ["there is no such folder or file"]),
        (nothing_known, ["Known ways to lay out", "images/a.png", "train-volume.tif", ".bmp"]),
        (one_image, ["one case only"]),
        (mask_of_another_size, ["mask of another size", "cells_002: image and mask differ in size: 64×64 and 40×40"]),
        (corrupt, ["cannot be read", "cells_002", "damaged or truncated"]),
        (not_a_number, ["cells_002", "1 NaN"]),
        (masks_of_anything, ["fatal"]),
    ],
)
def test_data_that_cannot_be_trained_on(
    spoil: Callable[[Path], None], words: list[str], data: Path, tmp_path: Path, cli: CommandLine
) -> None:
    spoil(data)
    refused(cli("check", data), *words)
    refused(cli("train", data, "--out", tmp_path / "run", *SMALL), *words)
    refused(cli("split", data, "--out", tmp_path / "lists"))
    assert not (tmp_path / "run").exists()
    assert not (tmp_path / "lists").exists()


def test_cases_that_are_bad_can_be_left_out(data: Path, tmp_path: Path, cli: CommandLine) -> None:
    corrupt(data)
    (tmp_path / "good.txt").write_text("\n".join(f"cells_{n:03d}" for n in (0, 1, 3, 4, 5, 6, 7)))
    assert cli("check", data, "--cases", tmp_path / "good.txt").code == 0


@pytest.mark.parametrize("command", ["check", "train", "predict"])
@pytest.mark.parametrize("kind", ["traversal", "bomb"])
def test_archives_that_attack(
    command: str, kind: str, cells: Path, run: Path, tmp_path: Path, cli: CommandLine
) -> None:
    archive = tmp_path / "data.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as zipped:
        for path in sorted(cells.rglob("*.png")):
            zipped.write(path, path.relative_to(cells))
        if kind == "traversal":
            zipped.write(path, "../../out.png")
        else:
            with zipped.open("images/bomb.png", "w", force_zip64=True) as member:
                for _ in range(300):
                    member.write(bytes(1 << 20))
    words = {"check": (), "train": ("--out", tmp_path / "out", *SMALL), "predict": ("--out", tmp_path / "out")}
    place = (run, archive) if command == "predict" else (archive,)
    if kind == "bomb":
        _declare_more(archive)
    refused(cli(command, *place, *words[command]), "leads out of it" if kind == "traversal" else "bomb")
    assert all_files(tmp_path) == {"data.zip"}


def _declare_more(archive: Path) -> None:
    """Let the directory of the archive say that its zeros unpack to 3.9 GiB: as a bomb does, without making one."""
    data = archive.read_bytes()
    place = data.rindex(b"PK\x01\x02", 0, data.rindex(b"images/bomb.png"))
    archive.write_bytes(data[: place + 24] + (3_900 << 20).to_bytes(4, "little") + data[place + 28 :])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--set", "training.batchsize=8"], ["Did you mean 'training.batch_size'?"]),
        (["--set", "trainng.batch_size=8"], ["Did you mean 'training.batch_size'?"]),
        (["--set", "training.batch_size"], ["is no setting", "--set training.batch_size=8"]),
        (["--set", "training.batch_size=[1"], ["cannot be read"]),
        (["--set", "training.batch_size=-1"], ["training.batch_size must be greater than or equal to 0, not -1"]),
        (["--set", "network.widths=[0,4]"], ["network.widths must be greater than 0"]),
        (["--set", "augmentation.scale=[2,1]"], ["augmentation.scale must be a range"]),
        (["--minutes", "1", "--epochs", "2"], ["cannot both be given"]),
        (["--minutes", "-1"], ["training.minutes must be greater than 0, not -1"]),
        (["--minutes", "nan"], ["training.minutes must be a finite number"]),
        (["--epochs", "0"], ["training.epochs must be greater than 0"]),
        (["--seed", "-1"], ["--seed"]),
        (["--preset", "tutorail"], ["Did you mean 'tutorial'?"]),
        (["--config", "missing.yaml"], ["missing.yaml", "No such file"]),
        (["--config", "broken.yaml"], ["broken.yaml, line 2", "this is no YAML file", "training:"]),
        (["--config", "binary.yaml"], ["binary.yaml", "this is no YAML file"]),
        (["--config", "words.yaml"], ["words.yaml", "training:"]),
        (["--config", "misspelt.yaml"], ["misspelt.yaml", "Did you mean 'training.batch_size'?"]),
        (["--cases", "unknown.txt"], ["there is no case or group 'nobody'", "cells_000"]),
        (["--cases", "missing.txt"], ["missing.txt", "cannot be read"]),
    ],
)
def test_words_that_cannot_be_meant(
    options: list[str], words: list[str], cells: Path, tmp_path: Path, cli: CommandLine
) -> None:
    cli.monkeypatch.chdir(tmp_path)
    Path("broken.yaml").write_text("training: [1\n: :\n")
    Path("binary.yaml").write_bytes(b"\xff\xfe\x00\x01")
    Path("words.yaml").write_text("just words\n")
    Path("misspelt.yaml").write_text("training:\n  batchsize: 8\n")
    Path("unknown.txt").write_text("cells_000\nnobody\n")
    refused(cli("train", cells, "--out", "run", *options), *words)
    assert not Path("run").exists()


def test_outputs_that_would_harm(run: Path, cells: Path, tmp_path: Path, cli: CommandLine) -> None:
    (tmp_path / "file.txt").write_text("mine")
    before = all_files(run), all_files(cells)
    refused(cli("train", cells, "--out", run, *SMALL), "has finished", "--start-from")
    refused(cli("train", cells, "--out", run, *SMALL, "--resume"), "has finished", "--start-from")
    refused(cli("train", cells, "--out", cells, *SMALL), "not empty")
    refused(cli("train", cells, "--out", cells, *SMALL, "--resume"), "no run in this folder")
    for place in (tmp_path / "file.txt", tmp_path / "file.txt" / "run"):
        refused(cli("train", cells, "--out", place, *SMALL))
        refused(cli("predict", run, cells, "--out", place), "cannot be written")
        refused(cli("evaluate", run, cells, "--out", place))
        refused(cli("split", cells, "--out", place), "cannot be written")
        refused(cli("check", cells, "--out", place), "cannot be written")
    refused(cli("predict", run, cells / "images", "--out", cells / "images"), "over the images themselves")
    refused(cli("evaluate", run, cells, "--out", run), "other things")
    refused(cli("demo", "--out", cells), "not empty")
    refused(cli("demo", "--out", tmp_path / "demo", "--minutes", -1), "must be greater than 0")
    assert (all_files(run), all_files(cells)) == before
    assert (all_files(tmp_path), (tmp_path / "file.txt").read_text()) == ({"file.txt"}, "mine")


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_an_output_folder_that_may_not_be_written_to(run: Path, cells: Path, tmp_path: Path, cli: CommandLine) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    refused(cli("train", cells, "--out", closed / "run", *SMALL), "permission denied")
    refused(cli("predict", run, cells, "--out", closed / "masks"), "permission denied")


def model_files(run: Path, folder: Path) -> dict[str, str]:
    """Files that are no models, and what should be said of each."""
    with safe_open(run / "model.safetensors", framework="pt") as file:
        words = json.loads(file.metadata()["ulna"])
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dict)
    (folder / "junk").write_bytes(b"junk")
    save_file({"a": torch.zeros(2)}, folder / "foreign")
    changed = {
        "newer": words | {"format": 99},
        "other": words | {"outputs": 3},
        "words": words | {"outputs": "three"},
        "classes": words | {"classes": {"color": "blue"}},
        "empty": words | {"config": {}},
        "lacking": {"format": 1},
    }
    for name, told in changed.items():
        save_file(weights, folder / name, metadata={"ulna": json.dumps(told)})
    suits = dict.fromkeys(("other", "words", "classes", "empty"), "contradict each other")
    kinds = {"junk": "no model file", "foreign": "not written by ulna", "newer": "newer ulna", "lacking": "lacks"}
    return kinds | suits


def test_models_that_are_none(run: Path, cells: Path, tmp_path: Path, cli: CommandLine) -> None:
    out = tmp_path / "masks"
    for name, said in model_files(run, tmp_path).items():
        refused(cli("predict", tmp_path / name, cells, "--out", out), said, name)
    refused(cli("predict", tmp_path / "nowhere", cells, "--out", out), "no such run")
    refused(cli("predict", cells, cells, "--out", out), "no trained model in this folder", "ulna train")
    refused(cli("summary", tmp_path / "nowhere"), "neither a run nor a preset", "tutorial")
    assert not out.exists()


def test_images_that_the_model_cannot_take(run: Path, tmp_path: Path, cli: CommandLine) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    noise = np.random.default_rng(0)
    Pillow.fromarray(noise.integers(0, 255, (40, 40, 3), dtype=np.uint8)).save(folder / "color.png")
    Pillow.fromarray(np.array([[7]], np.uint8)).save(folder / "pixel.png")
    Pillow.fromarray(noise.integers(0, 255, (1, 90), dtype=np.uint8)).save(folder / "line.png")
    (folder / "nothing.png").write_bytes(b"")
    not_a_number_here = np.full((40, 40), np.nan, np.float32)
    tifffile.imwrite(folder / "nan.tif", not_a_number_here)
    said = cli("predict", run, folder, "--out", tmp_path / "masks")
    refused(said, "color: ", "3 channels, the network takes 1", "nothing.png: the file is empty", "nan.tif: holds")
    assert all_files(tmp_path / "masks") == {"pixel.png", "line.png", "ulna.json"}
    with Pillow.open(tmp_path / "masks" / "pixel.png") as mask:
        assert mask.size == (1, 1)
    refused(cli("predict", run, folder / "pixel.png", "--out", tmp_path / "masks"), "--overwrite")
    assert cli("predict", run, folder / "pixel.png", "--out", tmp_path / "masks", "--overwrite").code == 0
    refused(cli("predict", run, tmp_path / "none*.png", "--out", tmp_path / "more"), "no image here")
    refused(cli("predict", run, folder, "--out", tmp_path / "more", "--cases", tmp_path / "no.txt"), "no.txt")
    assert not (tmp_path / "more").exists()


@pytest.mark.parametrize("free", [1 << 29, 3 << 30])
def test_an_image_larger_than_the_memory_is_refused(free: int, run: Path, tmp_path: Path, cli: CommandLine) -> None:
    """30,000 by 30,000 pixels of which the file holds next to nothing; 0.5 GiB free: not even read.

    Probabilities take the whole image; a mask alone is predicted region by region.
    """
    path = tmp_path / "large.tif"
    tile = zlib.compress(bytes(3008 * 3008))
    with tifffile.TiffWriter(path) as tiff:
        options = {"tile": (3008, 3008), "compression": "zlib", "photometric": "minisblack"}
        tiff.write((tile for _ in range(100)), shape=(30_000, 30_000), dtype=np.uint8, **options)
    memory = psutil.virtual_memory()._replace(available=free)
    cli.monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    if free > 1 << 29:
        cli.monkeypatch.setattr("ulna.jobs.extras.load_image", _large)
    said = cli("predict", run, path, "--out", tmp_path / "masks", "--probabilities")
    refused(said, "not predicted: large", "memory")
    assert all_files(tmp_path / "masks") == set()


def _large(case: object, **_: object) -> object:
    from ulna.image import Image

    return Image(np.broadcast_to(np.uint8(0), (1, 30_000, 30_000)))


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """No file may grow beyond `size` bytes: what a full disk looks like to a program."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("command", ["train", "predict", "evaluate", "split"])
def test_a_disk_that_is_full(command: str, run: Path, cells: Path, tmp_path: Path, cli: CommandLine) -> None:
    words = {"train": [cells], "predict": [run, cells], "evaluate": [run, cells], "split": [cells]}[command]
    with full_disk(50):
        said = cli(command, *words, "--out", tmp_path / "out", *(SMALL if command == "train" else []))
    refused(said, "cannot be written", "out")
    assert not [name for name in all_files(tmp_path) if Path(name).suffix]
    assert command in ("predict", "split") or not (tmp_path / "out").exists()


def test_a_disk_that_fills_up_during_the_training(cells: Path, tmp_path: Path, cli: CommandLine) -> None:
    """The network's checkpoints are larger than anything else; afterwards the run goes on."""
    run = tmp_path / "run"
    large = [word.replace("[4,8]", "[24,48]") for word in SMALL]
    with full_disk(200_000):
        refused(cli("train", cells, "--out", run, *large), "cannot be written", "checkpoints")
    assert not [name for name in all_files(run) if name.endswith(".ckpt") or ".part" in name]
    assert json.loads((run / "run.json").read_text("utf-8"))["state"] == "training"
    refused(cli("predict", run, cells, "--out", tmp_path / "masks"), "--resume")
    assert cli("train", cells, "--out", run, *large, "--resume").code == 0

"""A training that is killed or stopped goes on to the weights it would have had."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import tifffile
import torch
from safetensors.torch import load_file

from command_line import SMALL, CommandLine, all_files, command
from ulna import runfolder as runs
from ulna.jobs.train import train
from ulna.run import Run
from ulna.synthetic import write_dataset
from ulna.training.learner import Learner

if sys.platform == "win32":
    pytest.skip("signals are sent as POSIX has them", allow_module_level=True)

LAST = "checkpoints/last.ckpt"
LONG = ["--epochs", "4", "--seed", "3"]
for _setting in ("training.steps=12", "network.widths=[8,16]", "training.patch=[64,64]", "training.batch_size=8"):
    LONG += ["--set", _setting]


@pytest.fixture(scope="module")
def straight(cells: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    """The weights of the run that nothing disturbed."""
    run = tmp_path_factory.mktemp("straight") / "run"
    subprocess.run(command("train", cells, "--out", run, *LONG), check=True, capture_output=True)
    return load_file(run / "model.safetensors")


@pytest.fixture(scope="module")
def together(cells: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    """The weights of the same run by two processes."""
    run = tmp_path_factory.mktemp("together") / "run"
    words = command("train", cells, "--out", run, *LONG, "--set", "training.devices=2")
    subprocess.run(words, check=True, capture_output=True)
    return load_file(run / "model.safetensors")


def equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def epochs_done(run: Path) -> int:
    table = run / "metrics.csv"
    return max(len(table.read_text().splitlines()) - 1, 0) if table.is_file() else 0


def _hear() -> None:
    """Ctrl-C is heard even where the tests run in the background, for which shells switch it off."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def cut_off(cells: Path, run: Path, how: signal.Signals, *words: str) -> tuple[int, str, list[psutil.Process]]:
    """A training that gets a signal after its first epoch: its exit code, what it said, and who is left of it."""
    said = run.with_suffix(".txt")
    with said.open("w") as file:
        typed = command("train", cells, "--out", run, *LONG, *words)
        process = subprocess.Popen(typed, stderr=file, stdout=file, preexec_fn=_hear)
        try:
            until = time.monotonic() + 120
            while not (run / LAST).is_file() and process.poll() is None and time.monotonic() < until:
                time.sleep(0.01)
            helpers = psutil.Process(process.pid).children(recursive=True)
            os.kill(process.pid, how)
            code = process.wait(timeout=60)
        finally:
            process.kill()
            process.wait()
    _, left = psutil.wait_procs(helpers, timeout=60)
    alive = [one for one in left if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
    return code, said.read_text(), alive


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_two_processes_that_were_cut_off_are_gone_on_with(
    how: signal.Signals, together: dict[str, torch.Tensor], cells: Path, tmp_path: Path, cli: CommandLine
) -> None:
    run = tmp_path / "run"
    code, told, left = cut_off(cells, run, how, "--set", "training.devices=2")
    assert code == (-9 if how == signal.SIGKILL else 130), told
    assert "Traceback" not in told
    assert ("--resume" in told) == (how == signal.SIGINT)
    assert not left  # no process outlives the one that was typed
    assert 1 <= epochs_done(run) < 4
    assert cli("train", cells, "--out", run, "--resume").code == 0
    assert epochs_done(run) == 4
    assert equal(load_file(run / "model.safetensors"), together)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_was_cut_off_goes_on_as_if_nothing_had_been(
    how: signal.Signals, straight: dict[str, torch.Tensor], cells: Path, tmp_path: Path, cli: CommandLine
) -> None:
    run = tmp_path / "run"
    code, told, _ = cut_off(cells, run, how)
    assert code == (-9 if how == signal.SIGKILL else 130), told
    assert "Traceback" not in told
    assert ("--resume" in told) == (how == signal.SIGINT)
    assert 1 <= epochs_done(run) < 4
    for path in (run / "checkpoints").glob("*.ckpt"):
        torch.load(path, weights_only=True)  # what is there is whole
    other = cli("train", cells, "--out", run, *LONG, "--resume", "--set", "training.steps=5")
    assert (other.code, "training.steps 12, not 5" in other.err) == (2, True)
    assert cli("train", cells, "--out", run, "--resume").code == 0
    assert epochs_done(run) == 4
    assert [list(one) for one in runs.words(run)["resumed"]] == [["date", "machine", "versions", "device"]]
    assert equal(load_file(run / "model.safetensors"), straight)
    assert not [name for name in all_files(run) if name.startswith("cache") or name.endswith(".part")]


def test_a_run_goes_on_with_its_own_images_only(cells: Path, run: Path, tmp_path: Path, cli: CommandLine) -> None:
    stopped = shutil.copytree(run, tmp_path / "run")
    words = json.loads((stopped / "run.json").read_text("utf-8"))
    (stopped / "run.json").write_text(json.dumps(words | {"state": "training"}))
    write_dataset(tmp_path / "other", 8, size=(64, 64), seed=5)
    said = cli("train", tmp_path / "other", "--out", stopped, "--resume")
    assert (said.code, "images or masks are not those" in said.err) == (2, True), said
    (tmp_path / "other" / "images" / "cells_000.png").rename(tmp_path / "other" / "images" / "else.png")
    said = cli("train", tmp_path / "other", "--out", stopped, "--resume")
    assert (said.code, "no case or group 'cells_000'" in said.err) == (2, True), said
    for name in ("config.yaml", "train.txt"):
        kept = (stopped / name).read_bytes()
        (stopped / name).unlink()
        said = cli("train", cells, "--out", stopped, "--resume")
        assert (said.code, name in said.err) == (2, True), said
        (stopped / name).write_bytes(kept)


@pytest.mark.parametrize("side", ["train", "validation"])
@pytest.mark.parametrize("kind", ["images", "masks"])
def test_exchanged_images_and_masks_are_refused(
    side: str, kind: str, cells: Path, tmp_path: Path, cli: CommandLine
) -> None:
    data, run = shutil.copytree(cells, tmp_path / "data"), tmp_path / "run"
    with monkeypatched(cli, "ulna.run.fit", _stopped):
        assert cli("train", data, "--out", run, *SMALL).code == 130
    name = (run / f"{side}.txt").read_text().split()[0]
    path, other = data / kind / f"{name}.png", data / kind / "cells_001.png"
    kept = path.read_bytes()
    path.write_bytes((other if name != "cells_001" else data / kind / "cells_002.png").read_bytes())
    said = cli("train", data, "--out", run, "--resume")
    assert said.code == 2, said
    assert f"the {side} images or masks are not those" in said.err
    path.write_bytes(kept)
    assert cli("train", data, "--out", run, "--resume").code == 0


def test_a_run_goes_on_with_its_own_cases(cells: Path, tmp_path: Path, cli: CommandLine) -> None:
    """Also where the command that goes on with it names none, and the others have gone bad since."""
    names = [f"cells_{n:03d}" for n in range(6)]
    (tmp_path / "some.txt").write_text("\n".join(names))
    data = shutil.copytree(cells, tmp_path / "data")
    words = ("train", data, "--out", tmp_path / "run", *SMALL)
    with monkeypatched(cli, "ulna.run.fit", _stopped):
        assert cli(*words, "--cases", tmp_path / "some.txt").code == 130
    (data / "images" / "cells_007.png").write_bytes(b"")
    assert cli("train", data, "--out", tmp_path / "run", "--resume").code == 0
    listed = [(tmp_path / "run" / name).read_text().split() for name in ("train.txt", "validation.txt")]
    assert sorted(listed[0] + listed[1]) == names
    assert set(json.loads((tmp_path / "run" / "check.json").read_text("utf-8"))["groups"]) == set(names)


def test_a_run_that_was_killed_while_it_was_scored_is_not_trained_again(
    cells: Path, tmp_path: Path, cli: CommandLine
) -> None:
    words = ("train", cells, "--out", tmp_path / "run", *SMALL)
    with monkeypatched(cli, "ulna.jobs.fitting.evaluate", _stopped):
        assert cli(*words).code == 130
    weights = load_file(tmp_path / "run" / "model.safetensors")
    with monkeypatched(cli, "ulna.run.fit", lambda *_, **__: pytest.fail("it was trained again")):
        assert cli(*words, "--resume").code == 0
    assert equal(load_file(tmp_path / "run" / "model.safetensors"), weights)
    assert (tmp_path / "run" / "scores" / "scores.csv").is_file()


def test_two_trainings_do_not_share_a_folder(cells: Path, tmp_path: Path, cli: CommandLine) -> None:
    with runs.prepared(tmp_path / "run", resume=False):
        said = cli("train", cells, "--out", tmp_path / "run", *SMALL, "--resume")
    assert (said.code, "another training is at work" in said.err) == (2, True), said
    said = cli("train", cells, "--out", tmp_path / "run", *SMALL, "--resume")
    assert (said.code, "begins anew" in said.err) == (0, True), said
    assert not (tmp_path / "run" / ".lock").exists()


def _stopped(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


@contextmanager
def monkeypatched(cli: CommandLine, name: str, value: object) -> Iterator[None]:
    with cli.monkeypatch.context() as patched:
        patched.setattr(name, value)
        yield


def stopped_in_the_first_step(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_run_that_starts_from_a_model_does_so_again_until_it_has_a_checkpoint(
    run: Path, cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, new = list[dict[str, torch.Tensor]](), Run._new

    def noted(work: Run, prepared: Any) -> Any:
        saved = new(work, prepared)
        begun.append({name: tensor.clone() for name, tensor in saved.network.state_dict().items()})
        return saved

    monkeypatch.setattr(Run, "_new", noted)
    small = {"training.patch": [32, 32], "training.steps": 1, "augmentation": None}
    with monkeypatch.context() as patched:
        patched.setattr(Learner, "augmented", stopped_in_the_first_step)
        with pytest.raises(KeyboardInterrupt):
            train(cells, tmp_path / "run", epochs=1, changes=small, start_from=run)
    begun.clear()
    trained = train(cells, tmp_path / "run", resume=True)
    theirs = load_file(run / "model.safetensors")
    assert begun
    assert all(torch.equal(tensor, theirs[name]) for one in begun for name, tensor in one.items())
    assert not (trained.run / runs.START).exists()


def test_a_run_on_one_volume_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(0)
    image = draw.integers(0, 255, (10, 40, 40), dtype=np.uint8)
    for folder, array in (("images", image), ("masks", np.uint8(255 * (image > 120)))):
        (tmp_path / folder).mkdir()
        tifffile.imwrite(tmp_path / folder / "v.tif", array, photometric="minisblack")
    small = {"training.patch": [32, 32], "training.steps": 1, "augmentation": None, "network.widths": [4, 8]}
    with monkeypatch.context() as patched:
        patched.setattr(Learner, "augmented", stopped_in_the_first_step)
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path, tmp_path / "run", epochs=1, changes=small)
    assert runs.names(tmp_path / "run") == (("v[0:9]",), ("v[9:10]",))
    assert train(tmp_path, tmp_path / "run", resume=True).scores is not None

"""The complete texts that commands print and write for tiny data sets stay as they are.

After a change that is meant: `python -m pytest tests/test_texts.py --new-golden`, and read the difference.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

import small_scenes as scenes
from command_line import CommandLine
from golden_values import Golden
from ulna import console

TEXTS = (".json", ".csv", ".txt")
"""Files whose contents are compared; of others the names."""

MODEL = Path(__file__).parent / "golden" / "gray.safetensors"

BINARY = (
    "check {root}/data",
    "check {root}/data --out {root}/found",
    "split {root}/data --out {root}/lists --test 0.3 --seed 1",
    "evaluate {root}/predicted {root}/data --out {root}/scores",
    "evaluate {root}/predicted {root}/data --out {root}/scores",
    "evaluate {root}/predicted {root}/data/masks --out {root}/some --cases {root}/lists/test.txt",
)
CLASSES = (
    "check {root}/data --out {root}/found",
    "split {root}/data --out {root}/lists",
    "split {root}/data --out {root}/other --test 0.5",
    "evaluate {root}/predicted {root}/data --out {root}/scores",
)
OBJECTS = (
    "check {root}/data --out {root}/found",
    "evaluate {root}/predicted {root}/data --out {root}/scores",
    "measure {root}/predicted --images {root}/data/images --out {root}/measured",
    "measure {root}/predicted/n1.tif --out {root}/one",
)
VOLUMES = (
    "check {root}/data",
    "evaluate {root}/predicted {root}/data --out {root}/scores",
    "measure {root}/numbers --images {root}/data/images --out {root}/measured",
)


REFUSED = (
    "check {root}/nowhere",
    "check {root}/data/images",
    "check {root}/data --set data.group=x",
    "check {root}/data --set data.values",
    "check {root}/data --set data.groups=(",
    "check {root}/data --set data.groups=patient",
    "check {root}/data --set data.groups=(.)_(.)",
    "check {root}/data --set data.groups=^(x.)_",
    "check {root}/data --set data.groups={root}/groups.csv",
    "check {root}/data --cases {root}/names.txt",
    "check {root}/data --except {root}/none.txt",
    "check {root}/data --set data.values=[[0],[7]]",
    "check {root}/data --set data.values=[[0],[0]]",
    "check {root}/data --set data.classes=[cell]",
    "split {root}/data --out {root}/lists --test 1.5",
    "split {root}/data --out {root}/lists --set data.groups=(patient)",
    "train {root}/data --out {root}/data",
    "train {root}/data --out {root}/run --preset papers",
    "train {root}/data --out {root}/run --minutes -1",
    "train {root}/data --out {root}/run --minutes 1 --epochs 2",
    "train {root}/data --out {root}/run --set training.batch_size=many",
    "train {root}/data --out {root}/run --start-from {root}/data",
    "train {root}/data --out {root}/run --device tpu",
    "train {root}/data --out {root}/names.txt",
    "predict {root}/data {root}/data --out {root}/masks",
    "predict {root}/names.txt {root}/data --out {root}/masks",
    "predict {model} {root}/none.png --out {root}/masks",
    "predict {model} {root}/data --out {root}/masks --outlines svg",
    "predict {model} {root}/data --out {root}/masks --cases {root}/names.txt",
    "evaluate {root}/predicted {root}/data/images --out {root}/scores",
    "evaluate {root}/data/images {root}/data --out {root}/scores",
    "evaluate {root}/data/masks/patient00_0.png {root}/data --out {root}/scores",
    "evaluate {root}/predicted {root}/data --out {root}/data",
    "measure {root}/data/masks --images {root}/predicted/patient00_0.png --out {root}/measured",
    "measure {root}/none --out {root}/measured",
    "summary papers",
    "settings training.minute",
)
TRAINED = (
    "train {root}/data --out {root}/run --device cpu --epochs 2 --set training.steps=3 --set network.widths=[4,8] "
    "--set training.patch=[32,32] --set training.batch_size=2 --set training.precision=float32",
    "predict {root}/run {root}/data --out {root}/masks --cases {root}/run/validation.txt --overlay",
    "predict {root}/run {root}/data --out {root}/masks --cases {root}/run/validation.txt --overlay",
    "predict {root}/run {root}/data --out {root}/data/images",
)
LEARNED = re.compile(r"^(epoch|foreground|Dice|Trained)")
"""Lines whose numbers are those of a training: other processors, other numbers."""


def said(cli: CommandLine, root: Path, line: str, contents: Sequence[str] = TEXTS) -> str:
    """A command with all that it printed, and all that it wrote; `contents` are the ends of names of what is read."""
    before = set(root.rglob("*"))
    done = cli(*line.format(root=root, model=MODEL).split())
    parts = [f"$ ulna {line}", f"[code {done.code}]", done.out]
    parts += ["[standard error]", done.err.strip()] if done.err.strip() else []
    for path in sorted(set(root.rglob("*")) - before):
        parts += [f"[{path.relative_to(root).as_posix()}]"] if path.is_file() else []
        parts += [_content(path)] if path.name.endswith(tuple(contents)) else []
    text = "\n".join(part.rstrip() for part in parts)
    lines = [line.rstrip() for line in text.replace(str(root), "{root}").replace(str(MODEL), "{model}").splitlines()]
    # what a float has beyond five digits is the processor's
    return re.sub(r"\d+\.\d{5,}", lambda number: f"{float(number[0]):.4f}", "\n".join(lines)) + "\n"


def _content(path: Path) -> str:
    """A text file; of JSON each entry of the whole on a line of its own."""
    text = path.read_text("utf-8")
    if path.suffix != ".json":
        return text
    return "\n".join(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in json.loads(text).items())


@pytest.mark.parametrize(
    ("scene", "lines"),
    [
        ("binary", BINARY),
        ("classes", CLASSES),
        ("objects", OBJECTS),
        ("volumes", VOLUMES),
        ("files", ("check {root}/data",)),
        ("single", ("check {root}/data",)),
        ("faulty", ("check {root}/data --out {root}/found", "split {root}/data --out {root}/lists")),
    ],
)
def test_commands(scene: str, lines: tuple[str, ...], tmp_path: Path, cli: CommandLine, golden: Golden) -> None:
    root = getattr(scenes, scene)(tmp_path / scene)
    text = "\n".join(said(cli, root, line) for line in lines)
    golden.check_text(scene, text)


def test_what_is_refused(tmp_path: Path, cli: CommandLine, golden: Golden) -> None:
    root = scenes.binary(tmp_path / "refused")
    (root / "groups.csv").write_text("name,group\npatient00_0,a\npatient99,b\n")
    (root / "names.txt").write_text("patient00_0\npatient00_7\n")
    golden.check_text("refused", "\n".join(said(cli, root, line) for line in REFUSED))


def test_a_training(tmp_path: Path, cli: CommandLine, golden: Golden, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console.screen, "width", console.WIDE)
    root = scenes.binary(tmp_path / "trained")
    text = "\n".join(said(cli, root, line, ("train.txt", "validation.txt", "config.yaml")) for line in TRAINED)
    lines = [re.sub(r"[\d.:]*\d", "#", line) if LEARNED.match(line) else line for line in text.splitlines()]
    lines = [re.sub(r"tfevents.*|(?<=^Wrong pixels: ).*", "…", line) for line in lines]
    golden.check_text("trained", "\n".join(lines))

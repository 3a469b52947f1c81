"""Commands as a user types them: in a process of their own, or through the same cli within this one."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

SMALL = ["--epochs", "2"]
for _setting in ("training.steps=3", "network.widths=[4,8]", "training.patch=[32,32]", "training.batch_size=2"):
    SMALL += ["--set", _setting]
"""Options of a training that takes no time."""

START = "from ulna.cli import main; main()"


@dataclass(frozen=True)
class Result:
    """What a command said, and the code it ended with."""

    code: int
    out: str
    err: str


def command(*words: object) -> list[str]:
    """The command as a list for `subprocess`."""
    return [sys.executable, "-c", START, *map(str, words)]


def ulna(*words: object) -> Result:
    """Type a command in a process of its own."""
    done = subprocess.run(command(*words), capture_output=True, text=True, encoding="utf-8", timeout=300)
    return Result(done.returncode, done.stdout, done.stderr)


@dataclass
class CommandLine:
    """The command line within this process: quicker, for nothing has to be imported anew."""

    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    def __call__(self, *words: object) -> Result:
        """Type a command; what is not an UlnaError comes through."""
        from ulna.cli import main

        self.monkeypatch.setattr(sys, "argv", ["ulna", *map(str, words)])
        self.capsys.readouterr()
        try:
            main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        return Result(code, *self.capsys.readouterr())


def all_files(folder: Path) -> set[str]:
    """Every file and folder below, as relative names."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}

"""Python environments of baselines, made once from their `requirements.txt`."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
FOLDER = HERE.parent / ".venv-keras"
RESULTS = HERE.parent / "results"


def baseline_python(folder: Path = FOLDER, requirements: Path = HERE / "requirements.txt") -> Path:
    """The interpreter of the environment in `folder`; where there is none yet it is made and filled."""
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    ready = folder / "ready"
    if python.exists() and (ready.exists() or folder.parent != FOLDER.parent):
        return python
    print(f"making an environment in {folder} (about 1.6 GB, some minutes) …", flush=True)
    venv.EnvBuilder(with_pip=True, clear=True).create(folder)
    (folder / ".gitignore").write_text("*\n", encoding="utf-8")
    words = [python, "-m", "pip", "install", "--quiet", "--no-deps", "-r", requirements]
    subprocess.run([str(word) for word in words], check=True)
    ready.touch()
    return python

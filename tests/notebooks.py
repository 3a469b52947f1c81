"""Runs notebooks, each in a process of its own: what their kernels warn of is not the tests' to judge."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RUN = """
import sys, nbclient, nbformat
path = sys.argv[1]
notebook = nbformat.read(path, 4)
nbclient.NotebookClient(notebook, timeout=1500, kernel_name="python3").execute(cwd=sys.argv[2])
nbformat.write(notebook, path)
"""

FACTS = "FACTS "


@dataclass(frozen=True)
class Executed:
    """What a notebook said.

    Parameters
    ----------
    texts, pictures
        All that was printed or shown as text, and how many pictures there are.
    facts
        What was asked of it at its end.
    """

    texts: str
    pictures: int
    facts: dict[str, Any]


def execute(path: Path, folder: Path, facts: dict[str, str]) -> Executed:
    """Run a copy of a notebook in a folder; `facts` are expressions that are asked for at its end."""
    notebook = json.loads(path.read_text("utf-8"))
    asked = ", ".join(f"{name!r}: {expression}" for name, expression in facts.items())
    source = f"import json\nprint({FACTS!r} + json.dumps({{{asked}}}))"
    last = {
        "cell_type": "code",
        "execution_count": None,
        "id": "facts",
        "metadata": {},
        "outputs": [],
        "source": source,
    }
    notebook["cells"].append(last)
    copy = folder / path.name
    copy.write_text(json.dumps(notebook), "utf-8")
    places = dict.fromkeys(("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"), str(folder))
    temporary = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(folder))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", RUN, copy, folder],
        env=os.environ | places | temporary | {"MPLBACKEND": ""},
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    outputs = [output for cell in json.loads(copy.read_text("utf-8"))["cells"] for output in cell.get("outputs", [])]
    texts = "".join(map(_text, outputs))
    before, _, told = texts.rpartition(FACTS)
    pictures = sum("image/png" in output.get("data", {}) for output in outputs)
    return Executed(before, pictures, json.loads(told))


def _text(output: dict[str, Any]) -> str:
    """What an output says as plain text, or as HTML."""
    data = output.get("data", {})
    said = output.get("text") or data.get("text/html") or data.get("text/plain") or ""
    return said if isinstance(said, str) else "".join(said)

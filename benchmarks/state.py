"""What is measured: the commit that is checked out."""

from __future__ import annotations

import subprocess
from pathlib import Path


def commit() -> str:
    """Its short hash, and whether files differ from it."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=7", "--exclude=*"]
    return subprocess.run(command, cwd=Path(__file__).parent, check=True, capture_output=True, text=True).stdout.strip()

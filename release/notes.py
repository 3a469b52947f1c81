"""The release notes of a version: what CHANGELOG.md says of it, as Markdown."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

CHANGELOG = Path(__file__).resolve().parents[1] / "CHANGELOG.md"
HEADING = re.compile(r"^## \[(?P<version>[^\]]+)\].*$", re.MULTILINE)


def notes(changelog: str, version: str) -> str:
    """What a changelog says of a version, without its heading. Raises ValueError where it says nothing."""
    found = list(HEADING.finditer(changelog))
    names = [heading["version"] for heading in found]
    wanted = version.removeprefix("v")
    if wanted not in names:
        raise ValueError(f"there is no version '{wanted}' in the changelog. It has: {', '.join(names) or 'none'}")
    place = names.index(wanted)
    end = found[place + 1].start() if place + 1 < len(found) else len(changelog)
    text = changelog[found[place].end() : end].strip()
    if not text:
        raise ValueError(f"the changelog says nothing of version '{wanted}'")
    return text


def main() -> None:
    """Print the notes; exit with code 2 where there are none."""
    parser = argparse.ArgumentParser(prog="notes.py", description=__doc__)
    parser.add_argument("version", nargs="?", default="Unreleased", help="0.1.0, or Unreleased (the default).")
    version = parser.parse_args().version
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    try:
        print(notes(CHANGELOG.read_text("utf-8"), version))
    except ValueError as error:
        parser.exit(2, f"{CHANGELOG.name}: {error}\n")


if __name__ == "__main__":
    main()

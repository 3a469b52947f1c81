"""What `mkdocs build` does besides turning `docs/` into pages; `mkdocs.yml` names this file.

- Files from elsewhere in the repository become pages as well (`OUTSIDE`), and so do notebooks. Links lead from file to
  file, as on GitHub; on the site they lead from page to page.
- A comment of its own line in a page is replaced by what it names, so that nothing stands in two places:

      <!-- section: README.md # From Python -->     what stands below that heading; without # what comes first
      <!-- options: train -->                       the arguments and options of a command
      <!-- settings -->                             the table of all settings
      <!-- printed: tests/golden/volumes.txt # check -->     what a command printed, as the tests keep it

- `*` in the navigation stands for all pages that are there.
- A page that would fetch a script, a style or a picture from another place ends the build.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]

OUTSIDE = {"*.md": "", "benchmarks/*.md": "benchmarks/", "benchmarks/results/*": "results/"}
"""Files outside of `docs/`, and the folder of the site that they come to."""

RENAMED = {"README.md": "index.md", "benchmarks/README.md": "benchmarks/index.md"}
"""Other names on the site. Most of the README is in the home page, `docs/index.md`."""

SHOWN = {".md", ".png", ".ipynb"}

LINK = re.compile(r"(?P<words>!?\[(?:[^\[\]]|\[[^\]]*\])*\])\((?P<target>[^)\s#]+)(?P<anchor>#[^)\s]*)?\)")
COMMENT = re.compile(r"^<!-- (?P<what>section|options|settings|printed)(?:: (?P<of>.+?))? -->$", re.MULTILINE)
FETCHED = re.compile(r"""<(?:script|img|iframe|link rel="?(?:stylesheet|preconnect))[^>]*\s(?:src|href)="?https?:""")


def places() -> dict[str, str]:
    """Every file of the repository that the site shows, with its path there."""
    found = {f"docs/{name}": name for name in _names(ROOT / "docs", "**/*")}
    for pattern, folder in OUTSIDE.items():
        found |= {name: folder + posixpath.basename(name) for name in _names(ROOT, pattern)}
    return {name: re.sub(r"\.ipynb$", ".md", place) for name, place in (found | RENAMED).items()}


def _names(folder: Path, pattern: str) -> Iterator[str]:
    for path in sorted(folder.glob(pattern)):
        if path.suffix in SHOWN and not any(part.startswith(".") for part in path.relative_to(folder).parts):
            yield path.relative_to(folder).as_posix()


def linked(words: str, origin: str, page: str) -> str:
    """The words of a file of the repository with the links that they have on a page of the site.

    A link to a file that the site does not show becomes its words alone.
    """
    shown = places()

    def towards(match: re.Match[str]) -> str:
        name = posixpath.normpath(posixpath.join(posixpath.dirname(origin), match["target"]))
        if name in shown:
            there = posixpath.relpath(shown[name], posixpath.dirname(page) or ".")
            return f"{match['words']}({there}{match['anchor'] or ''})"
        return match["words"][1:-1] if (ROOT / name).exists() else match[0]

    return LINK.sub(towards, words)


def section(words: str, heading: str) -> str:
    """What stands below a heading of a Markdown text; of the heading "", what stands between the title and the next.

    Raises
    ------
    ValueError
        Where there is no such heading.
    """
    levels: list[str] = re.split(r"^(##?) (.+)$", words, flags=re.MULTILINE)
    for level, name, body in zip(levels[1::3], levels[2::3], levels[3::3], strict=True):
        if name == heading or (not heading and level == "#"):
            return body.strip()
    raise ValueError(f"there is no heading '{heading}'")


def options(command: str) -> str:
    """The arguments and options of a command of the command line, as a table."""
    from typer.main import get_command

    from ulna.cli import app

    known = vars(get_command(app))["commands"][command]
    context = known.context_class(known, info_name=command)
    lines = ["| option | meaning |", "|---|---|"]
    for one in known.params:
        name, meaning = one.get_help_record(context)
        meaning = meaning.replace("  [required]", "" if one.param_type_name == "argument" else " Required.")
        lines.append(f"| `{name.replace(' <path>', '')}` | {' '.join(meaning.split())} |")
    return "\n".join(lines)


def settings() -> str:
    """The table of all settings."""
    import ulna

    return ulna.settings().markdown()


def printed(words: str, command: str) -> str:
    """What a command printed, out of a transcript of the tests.

    Raises
    ------
    ValueError
        Where there is no such command in it.
    """
    found = re.search(rf"^\$ ulna {command} .*?(?=^\[(?!code)|^\$ |\Z)", words, re.MULTILINE | re.DOTALL)
    if found is None:
        raise ValueError(f"there is no command '{command}'")
    shown = re.sub(r"^\[code \d\]\n", "", found[0].replace("{root}/", ""), flags=re.MULTILINE)
    return f"```text\n{shown.strip()}\n```"


def filled(words: str, page: str) -> str:
    """The words of a page of `docs/` with what its comments name."""

    def fill(match: re.Match[str]) -> str:
        if match["what"] == "settings":
            return settings()
        if match["what"] == "options":
            return options(match["of"])
        name, _, part = (one.strip() for one in match["of"].partition("#"))
        text = (ROOT / name).read_text("utf-8")
        return printed(text, part) if match["what"] == "printed" else linked(section(text, part), name, page)

    return COMMENT.sub(fill, words)


def notebook(words: str) -> str:
    """A notebook as Markdown: its texts, its code, and what the code printed."""
    parts = []
    for cell in json.loads(words)["cells"]:
        source = "".join(cell["source"])
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
        for output in cell.get("outputs", ()):
            text = "".join(output.get("text") or output.get("data", {}).get("text/plain") or ())
            parts += [f"```text\n{text.rstrip()}\n```"] if text else []
    return "\n\n".join(parts) + "\n"


def expanded(navigation: Iterable[Any], pages: Iterable[str]) -> list[Any]:
    """A navigation with all pages that its patterns stand for; a part of which there is none is left out."""
    found: list[Any] = []
    for entry in navigation:
        if isinstance(entry, str):
            found += [page for page in sorted(pages) if fnmatchcase(page, entry)] if "*" in entry else [entry]
        else:
            ((name, inside),) = entry.items()
            inside = expanded(inside, pages) if isinstance(inside, list) else inside
            found += [{name: inside}] if inside else []
    return found


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Fill in the navigation."""
    pages = [place for place in places().values() if place.endswith(".md")]
    config.nav = expanded(config.nav or [], pages)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what lies outside of `docs/`, and the notebooks."""
    from mkdocs.structure.files import File

    for name, place in places().items():
        path = ROOT / name
        if name.endswith(".ipynb"):
            files.append(File.generated(config, place, content=notebook(path.read_text("utf-8"))))
        elif not name.startswith("docs/") and name != "README.md":
            files.append(File.generated(config, place, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Fill in what the page names, and turn its links."""
    here = page.file.src_uri
    (origin,) = (name for name, place in places().items() if place == here and name != "README.md")
    return linked(filled(markdown, here), origin, here)


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Refuse a page that needs another place than this site to be seen."""
    from mkdocs.exceptions import PluginError

    if found := FETCHED.search(output):
        raise PluginError(f"{page.file.src_uri} would fetch something from elsewhere: {found[0]}")
    return output

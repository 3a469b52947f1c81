"""The documentation site: what `docs/hooks.py` makes of the files, and that `mkdocs.yml` leads to all of them.

`make docs` builds it, strictly; nothing here needs mkdocs.
"""

from __future__ import annotations

import importlib.util
import json
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from typer.main import get_command

import ulna
from ulna.cli import app
from ulna.data_section import Modality

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
_SPEC = importlib.util.spec_from_file_location("hooks", DOCS / "hooks.py")
assert _SPEC is not None
assert _SPEC.loader is not None
hooks = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(hooks)

PAGES = sorted(page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md"))
COMMANDS = dict(vars(get_command(app))["commands"])
MEASURED = ["README.md", "docs/architecture.md", "docs/volumes.md", "docs/errors.md"]
"""Where figures stand with the command that prints them, besides `benchmarks/results/`."""


def navigation() -> list[Any]:
    return list(yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))["nav"])


def leaves(entries: list[Any]) -> Iterator[str]:
    for entry in entries:
        value = next(iter(entry.values())) if isinstance(entry, dict) else entry
        yield from leaves(value) if isinstance(value, list) else [value]


def shown() -> set[str]:
    return {place for place in hooks.places().values() if place.endswith(".md")}


def test_the_navigation_leads_to_every_page_once_and_to_nothing_else():
    found = list(leaves(hooks.expanded(navigation(), shown())))
    assert sorted(found) == sorted(shown())


def test_a_part_without_pages_is_left_out_of_the_navigation():
    made = hooks.expanded(["a.md", {"Notebooks": ["notebooks/*.md"]}, {"More": ["b*.md"]}], {"a.md", "b1.md", "b2.md"})
    assert made == ["a.md", {"More": ["b1.md", "b2.md"]}]


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_names_is_filled_in(page: str):
    words = (DOCS / page).read_text("utf-8")
    filled = hooks.filled(words, page)
    assert not hooks.COMMENT.search(filled)
    assert len(re.findall("^<!--", words, re.MULTILINE)) == len(hooks.COMMENT.findall(words))  # none is misspelt


@pytest.mark.parametrize("page", PAGES)
def test_links_of_the_filled_page_lead_to_files_of_the_site(page: str):
    words = hooks.linked(hooks.filled((DOCS / page).read_text("utf-8"), page), f"docs/{page}", page)
    places = set(hooks.places().values())
    for target in re.findall(r"\]\(([^)\s#]+)", words):
        if "://" not in target:
            assert posixpath.normpath(posixpath.join(posixpath.dirname(page), target)) in places, target


def test_links_are_turned_from_files_to_pages():
    turned = hooks.linked(
        "[a](../README.md#results) [b](../LICENSE) ![c](pictures/bowl.png)", "docs/errors.md", "errors.md"
    )
    assert turned == "[a](index.md#results) b ![c](pictures/bowl.png)"
    assert hooks.linked("[`x`](docs/volumes.md)", "README.md", "jobs/train.md") == "[`x`](../volumes.md)"
    assert (
        hooks.linked("[x](https://a.b/c.md) f(x)[0](y)", "README.md", "index.md") == "[x](https://a.b/c.md) f(x)[0](y)"
    )


def test_a_section_is_what_stands_below_its_heading():
    words = "# Title\n\nfirst\n\n## One\n\nsecond\n\n### Inner\n\nthird\n\n## Two\n\nfourth\n"
    assert hooks.section(words, "") == "first"
    assert hooks.section(words, "One") == "second\n\n### Inner\n\nthird"
    with pytest.raises(ValueError, match="Three"):
        hooks.section(words, "Three")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_page_with_all_its_options(command: str):
    pages = [page for page in PAGES if f"<!-- options: {command} -->" in (DOCS / page).read_text("utf-8")]
    assert len(pages) == 1
    table = hooks.options(command)
    for one in COMMANDS[command].params:
        assert f"`{one.opts[0]}" in table or f"`{one.metavar}" in table
        assert one.help.split(".")[0] in table
    assert len(table.splitlines()) == 2 + len(COMMANDS[command].params)


def test_what_is_required_is_said():
    assert "| `--out RUN` | Folder for the run; it must be new or empty. Required. |" in hooks.options("train")


def test_settings_come_from_the_code():
    made = hooks.filled("<!-- settings -->", "settings.md")
    assert made == ulna.settings().markdown()


def test_a_transcript_is_shown_without_the_folder_of_the_test():
    words = (
        "$ ulna check {root}/data\n[code 0]\ntwo images\n[found.json]\nx: 1\n\n$ ulna plan {root}/data\n[code 0]\nx\n"
    )
    assert hooks.printed(words, "check") == "```text\n$ ulna check data\ntwo images\n```"
    assert hooks.printed(words, "plan") == "```text\n$ ulna plan data\nx\n```"
    with pytest.raises(ValueError, match="train"):
        hooks.printed(words, "train")


def test_a_notebook_becomes_text_with_what_its_code_printed():
    cells = [
        {"cell_type": "markdown", "source": ["# Cells\n", "Look."]},
        {"cell_type": "code", "source": ["print(1)"], "outputs": [{"output_type": "stream", "text": ["1\n"]}]},
        {"cell_type": "code", "source": ["x"], "outputs": []},
    ]
    made = hooks.notebook(json.dumps({"cells": cells}))
    assert made == "# Cells\nLook.\n\n```python\nprint(1)\n```\n\n```text\n1\n```\n\n```python\nx\n```\n"


@pytest.mark.parametrize(
    "tag",
    [
        '<script src="https://a.b/c.js">',
        '<link rel="stylesheet" href="https://a.b/c.css">',
        "<link rel=preconnect href=https://fonts.b crossorigin>",
        '<img alt="x" src="http://a.b/c.png">',
    ],
)
def test_what_would_be_fetched_from_elsewhere_is_found(tag: str):
    assert hooks.FETCHED.search(f"<p>x</p>{tag}")


def test_links_and_own_files_are_not_taken_for_it():
    assert not hooks.FETCHED.search(
        '<a href="https://a.b"><script src="../c.js"></script><link rel="canonical" href="https://a">'
    )


def test_every_kind_of_image_has_a_page():
    words = [(DOCS / page).read_text("utf-8") for page in PAGES if page.startswith("data/")]
    for modality in get_args(Modality):
        assert sum(f"`data.modality: {modality}`" in one for one in words) == 1, modality


@pytest.mark.parametrize("page", [page for page in PAGES if page.split("/")[0] in ("data", "coming-from")])
def test_figures_stand_where_their_commands_are(page: str):
    """A score with three digits on a page for users is one of those in the README or in `benchmarks/results/`."""
    sources = [
        *MEASURED,
        *(f"benchmarks/results/{path.name}" for path in (ROOT / "benchmarks" / "results").glob("*.md")),
    ]
    known = "\n".join((ROOT / name).read_text("utf-8") for name in sources)
    for figure in re.findall(r"(?<![\d.])0\.\d{3}\b", (DOCS / page).read_text("utf-8")):
        assert figure in known, figure

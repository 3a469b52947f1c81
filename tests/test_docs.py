"""The documents say what the code does: commands, settings, paths and snippets are held against it."""

from __future__ import annotations

import importlib
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from typer.main import get_command

import ulna
from ulna.cli import app
from ulna.config import RENAMED, Config
from ulna.options import changes
from ulna.preset import preset_names

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    page
    for pattern in ("*.md", "docs/**/*.md", "benchmarks/*.md", "benchmarks/results/*.md")
    for page in ROOT.glob(pattern)
)
"""Of the project's own: the baseline's environment below `benchmarks/` has pages, too."""
LARGEST = 1_000_000  # bytes of a file in the repository
REFUSED = typer.BadParameter.__bases__[0]  # what typer raises for words that it cannot take
SECTIONS = ("data", "task", "network", "augmentation", "training", "inference")

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


def text(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def without_blocks(words: str) -> str:
    return re.sub(r"```.*?```", "", words, flags=re.DOTALL)


def verbs() -> dict[str, Any]:
    """The commands of the command line by their names."""
    return dict(vars(get_command(app))["commands"])


def commands(page: Path) -> Iterator[str]:
    """Every command of ulna on a page that has something after its verb: in a line of its own or in backticks."""
    words = page.read_text("utf-8")
    lines = re.findall(r"^ {4,}(?:\S*[/\\])?(ulna .+)$", words, re.MULTILINE)
    for command in [*lines, *re.findall(r"`(ulna [a-z]+ [^`]*)`", without_blocks(words))]:
        yield command.split("  #")[0].strip()


@every_page
def test_commands_on_the_page_can_be_typed(page: Path):
    known = verbs()
    for command in commands(page):
        verb, *words = shlex.split(command)[1:]
        if verb == "COMMAND" or verb.startswith("-"):
            continue
        assert verb in known, command
        if words == ["--help"]:
            continue
        try:
            known[verb].make_context(verb, words)
        except REFUSED as error:
            pytest.fail(f"{command}: {error}")
        said = [value for option, value in pairwise(words) if option == "--set" and "=" in value]
        Config().changed({key: value for key, value in changes(said).items() if key not in RENAMED})


def test_commands_were_found():
    assert {command.split()[1] for command in commands(ROOT / "README.md")} >= {"check", "train", "predict", "evaluate"}


def test_every_command_and_its_function_are_in_the_readme():
    for verb in verbs():
        assert f"ulna {verb}" in text("README.md")
        assert verb in ulna.__all__
    for name in set(ulna.__all__) - {"__version__"}:
        assert f"ulna.{name}" in text("README.md")


@every_page
def test_links_lead_somewhere(page: Path):
    for target in re.findall(r"\]\(([^)\s#]+)[^)]*\)", page.read_text("utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def anchors(page: Path) -> set[str]:
    """What a link to a heading of a page may end with, as Python-Markdown and GitHub make it."""
    headings = re.findall(r"^#+ (.+)$", without_blocks(page.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower()) for heading in headings}


@every_page
def test_headings_that_links_lead_to_exist(page: Path):
    for target, anchor in re.findall(r"\]\(([^)\s#:]*)#([^)\s]+)\)", page.read_text("utf-8")):
        there = (page.parent / target).resolve() if target else page
        if "reference" not in there.parts:  # where the docstrings make the headings: `mkdocs build` checks these
            assert anchor in anchors(there), f"{page.name}: {target}#{anchor}"


@every_page
def test_paths_on_the_page_exist(page: Path):
    folders = "src|tests|docs|benchmarks|\\.ci"
    for path in re.findall(rf"`((?:{folders})/[^`\s<>*{{}}]*)`", page.read_text("utf-8")):
        if "/.venv" not in path:  # is made when it is needed
            assert (ROOT / path).exists(), f"{page.name}: {path}"


@every_page
def test_python_on_the_page_compiles_and_uses_public_names(page: Path):
    for snippet in re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), re.DOTALL):
        compile(snippet, str(page), "exec")
        imported = re.findall(r"^from (ulna\.[\w.]+) import (.+)$", snippet, re.MULTILINE)
        for module, names in imported:
            assert all(hasattr(importlib.import_module(module), name) for name in names.split(", ")), module
        modules = {module.split(".")[1] for module, _ in imported}
        for name in re.findall(r"\bulna\.(\w+)", snippet):
            assert name in modules or name in ulna.__all__


@every_page
def test_settings_in_yaml_are_settings(page: Path):
    """Indented YAML below a comment that names a .yaml file."""
    blocks = re.findall(r"^    # \S+\.yaml.*\n((?:    .*\n|\n)+)", page.read_text("utf-8"), re.MULTILINE)
    for block in blocks:
        words = yaml.safe_load(re.sub(r"^    ", "", block, flags=re.MULTILINE))
        Config.parse(words, where=page)


def test_contributing_opens_with_what_to_open():
    assert text("CONTRIBUTING.md").startswith("# To change X, open Y\n\n|")


def test_registries_that_contributing_names_exist():
    rows = re.findall(r"^\|.*\| (.*) \|$", text("CONTRIBUTING.md"), re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`([A-Z_]{3,})`", row)}
    source = "\n".join(path.read_text("utf-8") for path in (ROOT / "src").rglob("*.py"))
    assert len(named) > 8
    for name in named:
        assert re.search(rf"^{name}\b.*=", source, re.MULTILINE), name


def settings(words: dict[str, Any], before: str = "") -> dict[str, Any]:
    """Every setting with its dotted name and its value."""
    found: dict[str, Any] = {}
    for key, value in words.items():
        found |= settings(value, f"{before}{key}.") if isinstance(value, dict) else {before + key: value}
    return found


def test_settings_named_anywhere_exist():
    known = {*settings(Config().model_dump(mode="json")), *RENAMED}  # the changelog names earlier names
    for page in PAGES:
        for key in re.findall(rf"`(?:--set )?((?:{'|'.join(SECTIONS)})\.[a-z_]+)", page.read_text("utf-8")):
            assert key in known, f"{page.name}: {key}"


def test_every_preset_is_documented():
    (option,) = (one for one in verbs()["train"].params if one.name == "preset")
    for name in preset_names():
        assert f"| `{name}` |" in text("docs/training.md")
        assert name in re.split(r"[, .]+", option.help)


def dependencies() -> set[str]:
    import tomllib

    project = tomllib.loads(text("pyproject.toml"))["project"]
    listed = [*project["dependencies"], *chain.from_iterable(project["optional-dependencies"].values())]
    return {re.split(r"[<>=~!\[; ]", name)[0].casefold() for name in listed}


def test_every_dependency_has_its_reason():
    part = text("docs/architecture.md").split("## Dependencies")[1]
    reasons = {name.casefold() for name in re.findall(r"^\| ([\w.-]+) \| \S.* \|$", part, re.MULTILINE)}
    assert reasons - {"library"} == dependencies()


def test_every_room_is_in_the_architecture():
    page = text("docs/architecture.md")
    for path in (ROOT / "src" / "ulna").iterdir():
        if path.is_dir() and (path / "__init__.py").exists():
            assert f"`{path.name}/`" in page, path.name
        elif path.suffix == ".py":
            assert f"`{path.name}`" in page or f"`{path.stem}`" in page, path.name


def test_every_result_is_shown_in_the_readme_with_its_command():
    for page in (ROOT / "benchmarks" / "results").glob("*.md"):
        assert f"](benchmarks/results/{page.name})" in text("README.md"), page.name


def test_no_large_file_is_tracked():
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("this is no clone")
    names = subprocess.run([git, "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode()
    files = [ROOT / name for name in names.split("\0") if name]
    large = [path.name for path in files if path.is_file() and path.stat().st_size > LARGEST]
    assert not large

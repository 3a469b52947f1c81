"""What a release is made of: metadata that agree, a valid citation, notes, a recipe, and what a wheel may hold."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonschema
import pytest
import yaml
from trove_classifiers import classifiers

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
CONDA = {"matplotlib": "matplotlib-base", "torch": "pytorch"}
"""What libraries are called on conda-forge."""


def read_yaml(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text("utf-8"))


def script(name: str) -> ModuleType:
    """A script of `release/` as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "release" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_citation_follows_its_format_and_agrees_with_the_package() -> None:
    schema = json.loads((ROOT / "tests" / "citation_file_format.json").read_text("utf-8"))
    citation = yaml.load((ROOT / "CITATION.cff").read_text("utf-8"), yaml.BaseLoader)  # numbers of versions are text
    citation["references"][0] |= {key: int(citation["references"][0][key]) for key in ("year", "start", "end")}
    validator = jsonschema.Draft7Validator(schema)
    assert [error.message for error in validator.iter_errors(citation)] == []
    assert list(validator.iter_errors(citation | {"authors": []})), "this schema refuses nothing"
    assert (citation["version"], citation["license"]) == (PROJECT["version"], PROJECT["license"])
    assert citation["authors"] == PROJECT["authors"]


def test_the_metadata_are_those_that_an_index_knows() -> None:
    assert set(PROJECT["classifiers"]) <= set(classifiers)
    minors = [
        line.rpartition(".")[2]
        for line in PROJECT["classifiers"]
        if line.startswith("Programming Language :: Python :: 3.")
    ]
    assert PROJECT["requires-python"] == f">=3.{minors[0]},<3.{int(minors[-1]) + 1}"
    assert PROJECT["keywords"]


def test_the_recipe_asks_for_what_the_package_asks_for() -> None:
    recipe = read_yaml("release/conda/recipe.yaml")
    assert recipe["context"]["version"] == PROJECT["version"]
    assert recipe["about"]["summary"] == PROJECT["description"]
    assert recipe["about"]["license"] == PROJECT["license"]
    wanted = {"python": PROJECT["requires-python"]}
    for line in PROJECT["dependencies"]:
        name, bound = re.fullmatch(r"([\w-]+)(>=.+)", line).groups()  # type: ignore[union-attr]
        wanted[CONDA.get(name, name.lower())] = bound
    assert dict(line.split(" ") for line in recipe["requirements"]["run"]) == wanted
    build = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["build-system"]["requires"]
    assert [line.replace(" ", "") for line in recipe["requirements"]["host"] if line.startswith("hatchling")] == build
    (entry,) = recipe["build"]["python"]["entry_points"]
    assert dict([entry.split(" = ")]) == PROJECT["scripts"]


def test_the_workflow_tests_what_the_package_promises() -> None:
    workflow = read_yaml(".github/workflows/test.yml")
    matrix = workflow["jobs"]["test"]["strategy"]["matrix"]
    assert {system.partition("-")[0] for system in matrix["system"]} == {"ubuntu", "macos", "windows"}
    assert {f"Programming Language :: Python :: {one}" for one in matrix["python"]} <= set(PROJECT["classifiers"])
    pinned = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    commands = [step.get("run", "") for job in workflow["jobs"].values() for step in job["steps"]]
    for command in commands:
        for pin in re.findall(r"\w+==[\w.]+", command):
            assert pin in pinned
    for line in ("ruff format --check .", "ruff check .", "mypy", "lint-imports", "python -m pytest -n 2"):
        assert line in commands
        assert line in (ROOT / "README.md").read_text("utf-8")


@pytest.mark.parametrize("path", sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*_*.yml")) or ["none"])
def test_forms_ask_for_what_helps(path: Path) -> None:
    form = yaml.safe_load(path.read_text("utf-8"))
    assert {"name", "description", "body"} <= set(form)
    ids = [field["id"] for field in form["body"]]
    assert len(set(ids)) == len(ids)
    for field in form["body"]:
        assert field["type"] in ("input", "textarea", "dropdown", "checkboxes")
        assert field["attributes"]["label"]
    assert any(field.get("validations", {}).get("required") for field in form["body"])


def test_notes_are_what_the_changelog_says_of_a_version() -> None:
    notes = script("notes").notes
    changelog = "# Changelog\n\n## [Unreleased]\n\n## [0.2.0] - 2027-01-01\n\n### Added\n\n- x\n\n## [0.1.0]\n\n- y\n"
    assert notes(changelog, "0.2.0") == notes(changelog, "v0.2.0") == "### Added\n\n- x"
    assert notes(changelog, "0.1.0") == "- y"
    with pytest.raises(ValueError, match="says nothing of version 'Unreleased'"):
        notes(changelog, "Unreleased")
    with pytest.raises(ValueError, match=r"no version '3'.* It has: Unreleased, 0\.2\.0, 0\.1\.0"):
        notes(changelog, "3")


def test_notes_of_this_changelog_are_printed() -> None:
    command = [sys.executable, ROOT / "release" / "notes.py"]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=True)
    assert done.stdout.startswith(("What will be", "### "))
    assert done.stdout.strip() in (ROOT / "CHANGELOG.md").read_text("utf-8")
    wrong = subprocess.run([*command, "99"], capture_output=True, text=True, encoding="utf-8")
    assert wrong.returncode == 2
    assert "no version '99'" in wrong.stderr


def test_a_wheel_that_lacks_a_file_or_holds_another_is_wrong() -> None:
    wheels = script("try_wheel")
    wanted = wheels.package_files(ROOT / "src")
    assert {"ulna/py.typed", "ulna/report/page.html.j2", "ulna/presets/default.yaml", "ulna/__init__.py"} <= wanted
    metadata = {"ulna-0.1.0.dist-info/METADATA", "ulna-0.1.0.dist-info/licenses/LICENSE"}
    wheels.check_wheel(wanted | metadata, wanted)
    for held, words in (
        ((wanted | metadata) - {"ulna/py.typed"}, "lacks 1 files of the package: ulna/py.typed"),
        (wanted | metadata | {"tests/x.py"}, "no part of the package: tests/x.py"),
        (wanted | {"ulna-0.1.0.dist-info/METADATA"}, "no license"),
    ):
        with pytest.raises(wheels.Wrong, match=words):
            wheels.check_wheel(held, wanted)


def test_a_source_archive_holds_the_source_and_nothing_large(tmp_path: Path) -> None:
    wheels = script("try_wheel")
    wanted = {"ulna/__init__.py"}
    held = [
        f"ulna-0.1.0/{name}" for name in ("src/ulna/__init__.py", "pyproject.toml", "README.md", "LICENSE", "PKG-INFO")
    ]
    wheels.check_archive(held, wanted)
    with pytest.raises(wheels.Wrong, match="lacks 1 files: LICENSE"):
        wheels.check_archive([name for name in held if "LICENSE" not in name], wanted)
    with pytest.raises(wheels.Wrong, match=r"belongs elsewhere: tests/a\.png"):
        wheels.check_archive([*held, "ulna-0.1.0/tests/a.png"], wanted)
    (tmp_path / "large.whl").write_bytes(bytes(wheels.LARGEST + 1))
    with pytest.raises(wheels.Wrong, match=r"large\.whl has"):
        wheels.check_size(tmp_path / "large.whl")


def test_the_libraries_of_a_wheel_are_those_that_it_declares_and_what_they_need() -> None:
    closure = script("try_wheel").closure
    found = closure(["jinja2>=3.1", 'pyarrow>=21; extra == "tables"'])
    assert set(found) == {"jinja2", "markupsafe"}
    with pytest.raises(Exception, match="is declared, but not installed"):
        closure(["no-such-library-here>=1"])

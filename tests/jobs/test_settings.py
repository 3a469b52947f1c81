from __future__ import annotations

import io

import pytest
import yaml
from rich.console import Console

from command_line import CommandLine
from ulna.config import Config, descriptions, dotted
from ulna.errors import UlnaError
from ulna.jobs.settings import settings
from ulna.preset import load_preset, preset_names


@pytest.mark.parametrize("preset", preset_names())
def test_every_setting_of_a_preset_is_listed_with_its_value(preset: str) -> None:
    rows = {row.key: row.value for row in settings(preset=preset)}
    wanted = dotted(load_preset(preset).model_dump(mode="json"))
    assert {key: rows[key] for key in wanted if key in rows} == {k: v for k, v in wanted.items() if k in rows}
    assert set(rows) == {key for key, _ in descriptions()}


def test_every_setting_has_a_description() -> None:
    assert [row.key for row in settings() if not row.description] == []


def test_what_is_written_can_be_set_again() -> None:
    for row in settings("training"):
        value = yaml.safe_load(row.written)
        assert Config().changed({row.key: value}) == Config()


def test_a_section_and_a_whole_key() -> None:
    assert [row.key for row in settings("task")] == [row.key for row in settings() if row.key.startswith("task.")]
    assert [row.key for row in settings("task.loss")] == ["task.loss"]
    assert len(settings("task.")) == len(settings("task"))


@pytest.mark.parametrize(("section", "hint"), [("trainig", "'training'"), ("task.los", "'task.loss'"), ("x", "Known")])
def test_what_is_no_setting_names_the_nearest(section: str, hint: str) -> None:
    with pytest.raises(UlnaError, match=hint):
        settings(section)


def test_it_prints(cli: CommandLine) -> None:
    shown = cli("settings", "data")
    assert shown.code == 0
    assert "data.validation" in shown.out
    assert "0.1" in shown.out
    assert "training." not in shown.out
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(settings("network"))
    assert all(len(line) <= 80 for line in console.export_text().splitlines())


def test_shell_completion_is_offered(cli: CommandLine) -> None:
    assert "--install-completion" in cli("--help").out

"""`settings`: every setting with its value in a preset and what it means."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Group
from rich.markup import escape
from rich.table import Table

from ulna.config import descriptions, dotted, nearest
from ulna.console import Printed
from ulna.errors import UlnaError
from ulna.preset import DEFAULT, load_preset


@dataclass(frozen=True)
class Setting:
    """One setting.

    Parameters
    ----------
    key
        Its dotted key, which `--set` takes.
    value
        Its value.
    description
        What it means.
    """

    key: str
    value: object
    description: str

    @property
    def written(self) -> str:
        """The value as YAML and `--set` have it."""
        return self.value if isinstance(self.value, str) and self.value else json.dumps(self.value, ensure_ascii=False)


@dataclass(frozen=True)
class Settings(Printed):
    """The settings of a preset; prints itself as a table.

    Parameters
    ----------
    preset
        Its name.
    rows
        The settings, in the order of the configuration.
    """

    preset: str
    rows: tuple[Setting, ...]

    def __iter__(self) -> Iterator[Setting]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return f"<Settings: {len(self.rows)} of the preset {self.preset}>"

    def __rich__(self) -> Group:
        """A row per setting."""
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column("setting", no_wrap=True)
        table.add_column(f"in {self.preset}", overflow="fold", max_width=30)
        table.add_column("meaning", overflow="fold")
        for row in self.rows:
            table.add_row(row.key, escape(row.written), escape(row.description.replace("`", "")))
        hint = "Set one with --set KEY=VALUE, several in a YAML file with --config FILE."
        return Group(table, f"[dim]{hint}[/]")

    def markdown(self) -> str:
        """The table as Markdown, as the documentation shows it (`docs/settings.md`).

        Returns
        -------
        str
            With a line break at its end.
        """
        lines = ["| setting | default | meaning |", "|---|---|---|"]
        lines += [f"| `{row.key}` | `{row.written}` | {row.description} |" for row in self.rows]
        return "\n".join(lines) + "\n"


def settings(section: str = "", *, preset: str = DEFAULT) -> Settings:
    """List all settings, or those of one section, with their values in a preset.

    Parameters
    ----------
    section : str
        The beginning of the keys to list: a section such as "training", or a whole key. Empty: all of them.
    preset : str
        The preset whose values are shown.

    Returns
    -------
    Settings
        A row per setting, in the order of the configuration. It prints itself.

    Raises
    ------
    UlnaError
        If there is no such preset, or no setting whose key begins so.

    Examples
    --------
    >>> import ulna
    >>> for row in ulna.settings("network.dropout", preset="paper"):
    ...     print(row.key, row.value)
    network.dropout 0.5
    """
    config = load_preset(preset)
    words = config.model_dump(mode="json")
    # A section that the preset switches off shows null for each of its settings.
    values = dotted(words)
    rows = [Setting(key, values.get(key), text) for key, text in descriptions()]
    wanted = section.rstrip(".")
    found = tuple(row for row in rows if not wanted or row.key == wanted or row.key.startswith(f"{wanted}."))
    if not found:
        keys = dict.fromkeys(part for row in rows for part in (row.key.partition(".")[0], row.key))
        raise UlnaError(f"there is no setting or section '{section}'.{nearest(section, keys)}")
    return Settings(preset, found)

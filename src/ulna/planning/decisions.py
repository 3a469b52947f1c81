"""`Decision`: one thing that the plan decided, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ulna.config import Config, dotted
from ulna.text import size

OPEN: tuple[Any, ...] = (0, (), [], "", "auto")
"""Values of settings that leave the decision to the plan; the 0 of a size, not the 0.0 of a share or an angle."""


@dataclass(frozen=True)
class Decision:
    """One setting that the plan decided, or that the user decided before it.

    Parameters
    ----------
    key, value
        The setting, as a dotted key, and what it is now.
    reason
        Why, and where it is a guess, what the other reading would be.
    overridden
        Whether the user set it: `value` is theirs, and `reason` says what the plan would have taken.

    Examples
    --------
    >>> decide(Config(), "training.batch_size", 8, "as memory allows")
    Decision(key='training.batch_size', value=8, reason='as memory allows', overridden=False)
    >>> chosen = decide(Config().changed({"training.batch_size": 2}), "training.batch_size", 8, "as memory allows")
    >>> chosen.value, chosen.overridden, chosen.reason
    (2, True, 'set; the plan: 8 (as memory allows)')
    """

    key: str
    value: Any
    reason: str
    overridden: bool = False


def decide(config: Config, key: str, value: Any, reason: str) -> Decision:
    """The plan's value, or the one that the configuration was given."""
    asked, default = (dotted(one.model_dump())[key] for one in (config, Config()))
    left_open = any(type(default) is type(one) and asked == default == one for one in OPEN)
    if key not in config.given() or left_open:
        return Decision(key, value, reason)
    if asked == value:
        return Decision(key, asked, f"set; the plan agrees ({reason})", True)
    return Decision(key, asked, f"set; the plan: {_written(value)} ({reason})", True)


def _written(value: Any) -> str:
    plain = isinstance(value, tuple) and not any(isinstance(one, tuple) for one in value)
    return size(value, "×") if plain else f"{value}"

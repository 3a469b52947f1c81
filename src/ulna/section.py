"""What all sections of the configuration have in common."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Size = Annotated[int, Field(gt=0)]


class Section(BaseModel):
    """Settings that belong together: none is unknown, none is changed later, and no number is infinite."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)


def shown(value: Any) -> str:
    """A value as an error shows it: lists as lists, and not too long."""
    text = str(list(value)) if isinstance(value, tuple | list) else str(value)
    return text if len(text) < 60 else f"{text[:59]}…"

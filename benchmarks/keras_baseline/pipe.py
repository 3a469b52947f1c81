"""How a benchmark talks to the processes that it compares: a number of steps in, what was measured out, a line each.

Nothing but the standard library: both environments import it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


def serve(measure: Callable[[int], Any], *, warm: int = 2, **facts: Any) -> None:
    """In the child: say what this is, then answer each number of steps with what was measured.

    Before, so many steps are taken that do not count.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print goes to stderr
    measure(warm)  # compiles, allocates, fills stores
    print(json.dumps(facts), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(measure(int(line))), file=answers, flush=True)


def beside() -> dict[str, str]:
    """The environment of a child that imports this module, wherever its script lies."""
    paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "TF_CPP_MIN_LOG_LEVEL": "3"}


class Child:
    """In the parent: one process that measures when asked, and sleeps in between."""

    def __init__(
        self, name: str, python: Path, script: Path, *words: str, env: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        handle, name = tempfile.mkstemp(suffix=".log")  # a pipe that nobody reads would fill up and block
        self._said = Path(name)
        self._process = subprocess.Popen(
            [str(python), str(script), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=handle,
            text=True,
            env={**beside(), **(env or {})},
        )
        os.close(handle)
        self.facts: dict[str, Any] = self._answer()

    def measure(self, steps: int) -> float:
        """Seconds that so many training steps take."""
        return float(self.ask(steps))

    def ask(self, steps: int) -> Any:
        """What the child measures of so many training steps."""
        assert self._process.stdin is not None
        print(steps, file=self._process.stdin, flush=True)
        return self._answer()

    def close(self) -> None:
        """End the process."""
        self._process.communicate()
        self._said.unlink()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            said = self._said.read_text(encoding="utf-8", errors="replace")[-3000:]
            self._said.unlink()
            raise RuntimeError(f"{self.name} ended:\n{said}")
        return json.loads(line)

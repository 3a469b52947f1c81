"""`plan`: what a training would be, with the reason of each choice, and without training."""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.markup import escape

from ulna.caselist import Names
from ulna.config import Config
from ulna.console import Printed, track
from ulna.dataset import Dataset
from ulna.errors import UlnaError
from ulna.formats import atomic_write
from ulna.inference.devices import check_count, choose_device
from ulna.jobs.check import check
from ulna.paths import expand_home
from ulna.planning import Plan
from ulna.preset import DEFAULT, settings
from ulna.run import Data, Prepared, Run, split
from ulna.training.timer import SystemClock, Timer


@dataclass(frozen=True)
class Planned(Printed):
    """A plan; it prints itself.

    Parameters
    ----------
    plan
        The decisions.
    length
        How much the network would see, as a sentence.
    written
        The file that it was written to, if it was.
    """

    plan: Plan
    length: str
    written: Path | None = None

    def __repr__(self) -> str:
        return f"<Planned: {len(self.plan.decisions)} decisions>"

    def __rich__(self) -> Group:
        """Sentences, then each decision with its reason."""
        lines = [escape(sentence) for sentence in (*self.plan.sentences, self.length)]
        where = [f"Written: {escape(str(self.written))}"] if self.written else []
        return Group(*lines, "", self.plan, *where)


@expand_home
def plan(
    data: str | Path | Dataset,
    *,
    cases: Names | None = None,
    except_: Names | None = None,
    preset: str = DEFAULT,
    minutes: float | None = None,
    epochs: int | None = None,
    config: str | Path | Config | None = None,
    changes: dict[str, Any] | None = None,
    seed: int | None = None,
    device: str | None = None,
    out: str | Path | None = None,
) -> Planned:
    """Say what `train` would do with these data, in this time, on this machine, and why.

    Parameters
    ----------
    data
        A folder, archive or file of any known layout; or a `Dataset` that your own code has made.
    cases, except_, preset, minutes, epochs, config, changes, seed, device
        As for `train`.
    out
        A YAML file of what was asked, with the decisions as comments: `train --config` takes it.

    Returns
    -------
    Planned
        The decisions.

    Raises
    ------
    UlnaError
        When the data cannot be trained on, and where the file is there already.

    Examples
    --------
    >>> ulna.plan("cells", minutes=10).plan.config.network.ndim
    2
    """
    file = None if out is None else Path(out)
    if file is not None and file.exists():
        raise UlnaError("this file is there already", where=file, hint="Name another --out, or remove it.")
    wanted = settings(preset, config, changes, minutes=minutes, epochs=epochs, seed=seed)
    place = choose_device(device)
    check_count(place, wanted.training.devices)
    checked = check(data, cases=cases, except_=except_, config=wanted, progress=track)
    if checked.fatal:
        raise UlnaError("the data cannot be trained on", where=data, hint="'ulna check' says why.")
    sides = split(checked.dataset, wanted.data.validation, wanted.training.seed)
    with tempfile.TemporaryDirectory(prefix="ulna-", ignore_cleanup_errors=True) as folder:
        timer = Timer(SystemClock(), limit=60 * (wanted.training.minutes or math.inf))
        work = Run(Path(folder), timer, device=place, progress=track)
        fold, made = work.plan(Data(checked.dataset, checked.classes, sides, data), wanted)
        prepared = Prepared(made.config, checked.classes, (fold.planned(made.config),))
        length = work.expected(prepared)
        prepared.close()
    if file is not None:
        with atomic_write(file) as beside:
            beside.write_text(made.yaml(wanted), "utf-8")
    return Planned(made, length, file)

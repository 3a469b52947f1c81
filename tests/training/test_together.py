"""Two processes on the CPU learn what one does, also where they go on with what one began."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from small_clock import TestClock
from ulna import networks, tasks
from ulna.config import Config
from ulna.metrics import Primary
from ulna.store import Store
from ulna.training import fit as loop
from ulna.training.checkpoints import State
from ulna.training.fit import fit
from ulna.training.log import Row, read_rows, write_row
from ulna.training.timer import Timer

Stores = tuple[Store, Store]

# Dice is no mean over patches; there is dropout, and two divide neither the five patches of a batch nor the large one.
SMALL = Config().changed(
    {
        "data.channels": 1,
        "network.widths": [4, 8, 8, 8],
        "network.dropout": 0.2,
        "network.deep_supervision": True,
        "training.optimizer": "sgd",
        "training.learning_rate": 0.1,
        "training.patch": [32, 32],
        "training.final_patch": [64, 64],
        "training.batch_size": 5,
        "training.steps": 2,
        "training.epochs": 2,
        "training.precision": "float32",
    }
)


def trained(stores: Stores, run: Path, devices: int) -> tuple[dict[str, torch.Tensor], State]:
    config = SMALL.changed({"training.devices": devices})
    torch.manual_seed(0)
    network = networks.build(config.network, 1, 1)
    task = tasks.build(config.task, ("background", "cell"))
    state = fit(network, task, config, stores=stores, run=run, timer=Timer(TestClock()), resume=True)
    return network.state_dict(), state


def test_two_processes_go_on_to_what_one_learns(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone, before = trained(stores, tmp_path / "alone", 1)

    def stopped(run: Path, row: Row, primary: Primary) -> None:
        if row["epoch"] == 2:
            raise KeyboardInterrupt
        write_row(run, row, primary)

    monkeypatch.setattr(loop, "write_row", stopped)
    with pytest.raises(KeyboardInterrupt):
        trained(stores, tmp_path / "run", 1)
    together, state = trained(stores, tmp_path / "run", 2)
    assert state.losses == pytest.approx(before.losses, rel=1e-5)
    for name, weights in alone.items():
        torch.testing.assert_close(together[name], weights, rtol=1e-3, atol=1e-5)
    assert [row["step"] for row in read_rows(tmp_path / "run")] == ["2", "4"]

"""What each of several processes computes of a batch; `test_together` holds the whole to one process."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from ulna.config import Config
from ulna.store import Store
from ulna.training.batches import Batches
from ulna.training.learner import Learner
from ulna.training.ranks import ALONE, JointDropout, Rank


@settings(deadline=None)
@given(batch=st.integers(1, 40), count=st.integers(1, 9))
def test_ranks_share_a_batch_in_its_order(batch: int, count: int) -> None:
    rows = [Rank(number, count).rows(batch) for number in range(count)]
    assert len({len(part) for part in rows}) == 1
    together = [row for part in rows for row in part]
    assert together[:batch] == list(range(batch))
    assert max(together) < batch


def test_alone_there_is_nothing_to_join() -> None:
    own = torch.rand(3, 2)
    assert ALONE.joined(own, 3) is own
    ALONE.announce(0)  # and nobody to tell


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("drop", [F.dropout, F.dropout2d])
def test_dropout_is_that_of_the_whole_batch(drop: type, layout: torch.memory_format) -> None:
    x = torch.rand(5, 3, 8, 6).contiguous(memory_format=layout)
    torch.manual_seed(7)
    whole = drop(x, p=0.4)
    for number in range(2):
        rows = Rank(number, 2).rows(5)
        torch.manual_seed(7)
        with JointDropout(rows, 5):
            part = drop(x[rows].contiguous(memory_format=layout), p=0.4)
        torch.testing.assert_close(part, whole[rows])


def test_augmented_parts_make_up_the_augmented_batch(stores: tuple[Store, Store]) -> None:
    config = Config().changed({"data.channels": 1, "training.patch": [32, 32], "training.batch_size": 5})
    learner = Learner(torch.nn.Conv2d(1, 1, 1), task=None, config=config)  # type: ignore[arg-type]

    def augmented(rank: Rank) -> list[torch.Tensor]:
        batch = Batches(stores[0], config.training, phases=learner.phases, rank=rank).batch(3)
        batch = learner.augmented(batch)
        assert batch.size == 5
        assert batch.own_spacings == ((1.0, 1.0),) * len(batch.images)
        return [batch.images, batch.truth]

    whole = augmented(ALONE)
    parts = [augmented(Rank(number, 2)) for number in range(2)]
    for index, one in enumerate(whole):
        assert torch.equal(torch.cat([part[index] for part in parts])[:5], one)


def test_the_rows_of_a_batch_have_their_own_spacings(stores: tuple[Store, Store]) -> None:
    config = Config().changed({"data.channels": 1, "training.patch": [32, 32], "training.batch_size": 6})
    train = stores[0]
    spacings = [(1.0 + number, 1.0) for number in range(len(train))]
    pairs = zip(train.cases, spacings, strict=True)
    store = replace(train, cases=tuple(replace(case, grid=replace(case.grid, spacing=side)) for case, side in pairs))
    phases = Learner(torch.nn.Conv2d(1, 1, 1), task=None, config=config).phases  # type: ignore[arg-type]
    whole, part = (Batches(store, config.training, phases=phases, rank=rank).batch(0) for rank in (ALONE, Rank(1, 2)))
    assert part.spacings == whole.spacings
    assert part.own_spacings == whole.spacings[3:]

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ulna.errors import UlnaError
from ulna.training.checkpoints import BEST, LAST, Best, State, load_best, load_last, save_best, save_last

STATE = State(epoch=3, step=40, progress=0.25, validated=7, empty=2, losses=[0.1, 1 / 3])


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    weights, optimizer = {"a": torch.rand(3)}, {"state": {0: {"step": torch.tensor(4.0)}}, "param_groups": []}
    assert load_last(tmp_path) is None
    assert load_best(tmp_path) is None
    save_last(tmp_path, STATE, weights, optimizer)
    save_best(tmp_path, Best(2, 0.5), weights)
    last, best = load_last(tmp_path), load_best(tmp_path)
    assert last is not None
    assert best is not None
    assert last[0] == STATE
    assert last[2] == optimizer
    assert best[0] == Best(2, 0.5)
    assert torch.equal(last[1]["a"], weights["a"])
    assert torch.equal(best[1]["a"], weights["a"])


@pytest.mark.parametrize("path", [LAST, BEST])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and no more", b"\x80\x02cos\nsystem\n."])
def test_a_damaged_checkpoint_is_named_with_what_to_do(path: Path, content: bytes, tmp_path: Path) -> None:
    (tmp_path / path).parent.mkdir()
    (tmp_path / path).write_bytes(content)
    with pytest.raises(UlnaError, match=f"{path.name}: this checkpoint cannot be read: ") as caught:
        (load_last if path == LAST else load_best)(tmp_path)
    assert "\n" not in caught.value.what
    assert caught.value.hint == (
        "Delete the folder 'checkpoints' and add --resume: the training begins anew with the same plan."
    )


@pytest.mark.parametrize("words", [{}, {"state": {"losses": 3}}, {"state": {"other": 1, "losses": torch.zeros(1)}}])
def test_a_checkpoint_of_another_kind_is_named(words: dict[str, object], tmp_path: Path) -> None:
    (tmp_path / LAST).parent.mkdir()
    for path in (LAST, BEST):
        torch.save(words, tmp_path / path)
    for load in (load_last, load_best):
        with pytest.raises(UlnaError, match="this checkpoint is of another kind") as caught:
            load(tmp_path)
        assert caught.value.where == str(tmp_path / (LAST if load is load_last else BEST))
        assert caught.value.hint.startswith("Delete the folder 'checkpoints'")


def test_a_training_begins_at_nothing() -> None:
    assert State() == State(epoch=0, step=0, progress=0.0, validated=None, empty=0, losses=[])

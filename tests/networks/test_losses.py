from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ulna.image import IGNORE
from ulna.networks.losses import LOSSES, Loss, cross_entropy, dice, dice_cross_entropy, log_dice


def sample(classes: int, *, ndim: int = 2, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    shape = (2, 1, *(6, 7, 5)[:ndim])
    outputs = torch.randn(2, 1 if classes == 2 else classes, *shape[2:], generator=draw)
    return outputs, torch.randint(0, classes, shape, generator=draw, dtype=torch.uint8)


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("classes", [2, 4])
def test_cross_entropy_is_minus_the_log_of_the_true_class(classes: int, ndim: int) -> None:
    outputs, truth = sample(classes, ndim=ndim)
    probabilities = outputs.sigmoid() if classes == 2 else outputs.softmax(1)
    if classes == 2:
        probabilities = torch.cat([1 - probabilities, probabilities], 1)
    expected = -probabilities.gather(1, truth.long()).log().mean()
    torch.testing.assert_close(cross_entropy(outputs, truth), expected)


@pytest.mark.parametrize("classes", [2, 4])
def test_dice_of_a_certain_and_right_answer_is_zero(classes: int) -> None:
    _, truth = sample(classes)
    right = torch.nn.functional.one_hot(truth[:, 0].long(), classes).movedim(-1, 1).float() * 100 - 50
    outputs = right[:, 1:] if classes == 2 else right
    assert dice(outputs, truth).item() == pytest.approx(0, abs=1e-5)
    assert dice(-outputs, truth).item() > 0.5


@given(st.integers(0, 1000), st.sampled_from([2, 3, 5]))
@settings(max_examples=20, deadline=None)
def test_dice_is_a_share_and_the_sum_is_the_sum(seed: int, classes: int) -> None:
    outputs, truth = sample(classes, seed=seed)
    one = dice(outputs, truth)
    assert 0 <= one.item() <= 1
    torch.testing.assert_close(dice_cross_entropy(outputs, truth), one + cross_entropy(outputs, truth))


def test_dice_by_hand() -> None:
    # two pixels with p = 1/2 each, one of them true: (2·1/2 + 1) / (1 + 1 + 1) = 2/3
    outputs = torch.zeros(1, 1, 1, 2)
    truth = torch.tensor([[[[1, 0]]]])
    assert dice(outputs, truth).item() == pytest.approx(1 / 3)


def test_an_empty_truth_gives_a_finite_gradient() -> None:
    for loss in LOSSES.values():
        outputs = torch.zeros(1, 1, 4, 4, requires_grad=True)
        loss(outputs, torch.zeros(1, 1, 4, 4, dtype=torch.uint8)).backward()
        assert outputs.grad is not None
        assert torch.isfinite(outputs.grad).all()


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_losses_fall_when_the_answer_gets_better(name: str) -> None:
    _, truth = sample(2)
    towards = (truth.float() * 2 - 1) * torch.tensor(1.0)
    values = [LOSSES[name](towards * strength, truth).item() for strength in (-2, 0, 2, 6)]
    assert values == sorted(values, reverse=True)


@pytest.mark.parametrize("loss", LOSSES.values())
@pytest.mark.parametrize("classes", [2, 4])
def test_ignored_pixels_are_in_no_loss(loss: Loss, classes: int) -> None:
    """The loss is that of the annotated pixels alone, and no gradient comes from the others."""
    outputs, truth = sample(classes, seed=5)
    ignored = torch.rand(truth.shape, generator=torch.Generator().manual_seed(1)) < 0.4
    holed = torch.where(ignored, IGNORE, truth).to(torch.uint8)
    alone = outputs.movedim(1, -1)[~ignored[:, 0]].T[None, :, :, None]  # the annotated pixels as one line
    expected = loss(alone, truth[:, 0][~ignored[:, 0]][None, None, :, None])
    outputs.requires_grad_()
    found = loss(outputs, holed)
    torch.testing.assert_close(found, expected)
    found.backward()
    assert outputs.grad is not None
    wide = ignored.expand_as(outputs)
    assert not outputs.grad[wide].any()
    assert outputs.grad[~wide].all()


@pytest.mark.parametrize("loss", LOSSES.values())
@pytest.mark.parametrize("channels", [1, 3])
def test_a_batch_without_annotated_pixels_moves_nothing(loss: Loss, channels: int) -> None:
    outputs = torch.randn(1, channels, 4, 4, requires_grad=True)
    found = loss(outputs, torch.full((1, 1, 4, 4), IGNORE, dtype=torch.uint8))
    found.backward()
    assert torch.isfinite(found)
    assert outputs.grad is not None
    assert not outputs.grad.any()


@pytest.mark.parametrize("loss", [cross_entropy, dice_cross_entropy])
@pytest.mark.parametrize("classes", [2, 4])
def test_weights_multiply_the_terms_of_pixels_and_the_mean_is_over_pixels(loss: Loss, classes: int) -> None:
    outputs, truth = sample(classes)
    weights = torch.rand(truth.shape, generator=torch.Generator().manual_seed(1)) * 3
    ignored = truth.clone()
    ignored[:, :, :2] = IGNORE
    logits = torch.cat([outputs * 0, outputs], 1) if classes == 2 else outputs
    each = -logits.log_softmax(1).gather(1, truth.long())
    expected = (each * weights)[:, :, 2:].mean() + (dice(outputs, ignored) if loss is dice_cross_entropy else 0)
    torch.testing.assert_close(loss(outputs, ignored, weights), expected)


@pytest.mark.parametrize("classes", [2, 4])
def test_log_dice_is_the_logarithm_of_dice(classes: int) -> None:
    outputs, truth = sample(classes, ndim=3)
    probabilities = outputs.sigmoid() if classes == 2 else outputs.softmax(1)[:, 1:]
    each = []
    for label in range(1, classes):
        found, true = probabilities[:, label - 1].double(), (truth[:, 0] == label).double()
        each.append(-((2 * (found * true).sum() + 1e-4) / (found.sum() + true.sum() + 1e-4)).log())
    torch.testing.assert_close(log_dice(outputs, truth).double(), torch.stack(each).mean(), atol=1e-5, rtol=1e-5)


def test_log_dice_of_what_is_not_found_at_all_still_pulls() -> None:
    outputs = torch.full((1, 1, 8, 8), -40.0, requires_grad=True)
    truth = torch.ones(1, 1, 8, 8, dtype=torch.uint8)
    log_dice(outputs, truth).backward()
    assert outputs.grad is not None
    assert torch.isfinite(outputs.grad).all()
    right = log_dice(torch.full((1, 1, 8, 8), 40.0), truth)
    assert right.item() == pytest.approx(0, abs=1e-5)
    assert log_dice(torch.full((1, 1, 8, 8), -40.0), 0 * truth).item() == pytest.approx(0, abs=1e-3)

"""The presets: they parse, build what they name, and reproduce the published sizes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from ulna.config import Config
from ulna.errors import UlnaError
from ulna.networks import build, geometry
from ulna.preset import load_preset, preset_names, settings


def test_the_names() -> None:
    assert preset_names() == ("default", "fcn8", "intel-2d", "intel-3d", "paper", "tutorial")


@pytest.mark.parametrize("name", preset_names())
def test_each_is_a_config_that_builds(name: str) -> None:
    config = load_preset(name)
    assert config.preset == name
    with torch.device("meta"):
        network = build(config.network, 1, 2)
    assert min(geometry(network).strides) >= 16


def test_a_misspelt_name_is_told_the_nearest() -> None:
    with pytest.raises(UlnaError, match="Did you mean 'tutorial'"):
        load_preset("tutoral")


def test_the_default_is_the_default() -> None:
    assert load_preset("default") == Config()


def test_the_tutorials_parameters() -> None:
    network = build(load_preset("tutorial").network, 3, 1)
    assert sum(weight.numel() for weight in network.parameters()) == 1_962_625


def test_the_tutorials_recipe() -> None:
    config = load_preset("tutorial")
    assert (config.data.resize, config.data.normalization, config.task.loss) == (
        (128, 128),
        "range",
        "cross_entropy",
    )
    training = config.training
    assert (training.optimizer, training.learning_rate, training.schedule) == ("adam", 1e-3, "constant")
    assert (training.batch_size, training.epochs, training.weight_decay) == (8, 5, 0.0)
    assert config.augmentation is None


def sizes_on_the_way(network: nn.Module, size: int) -> list[int]:
    """The side of what every convolution (not the head's) puts out, in the order in which they run."""
    seen: list[int] = []
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            module.register_forward_hook(lambda _module, _given, out: seen.append(int(out.shape[-1])))
    with torch.device("meta"):
        out: Tensor = network(torch.empty(1, 1, size, size))
    assert out.shape == (1, 2, 388, 388)
    return seen


def test_the_papers_figure_1() -> None:
    config = load_preset("paper")
    with torch.device("meta"):
        network = build(config.network, 1, 2).eval()
    down = [570, 568, 282, 280, 138, 136, 66, 64, 30, 28]
    up = [56, 54, 52, 104, 102, 100, 200, 198, 196, 392, 390, 388]
    assert sizes_on_the_way(network, 572) == [*down, *up, 388]
    pooled = [size // 2 for size in (568, 280, 136, 64)]
    assert pooled == [284, 140, 68, 32]
    assert [axis.shrink for axis in geometry(network).axes] == [92, 92]
    assert sum(weight.numel() for weight in network.parameters()) == 31_030_658


def test_the_papers_recipe() -> None:
    config = load_preset("paper")
    training = config.training
    assert (training.optimizer, training.momentum, training.batch_size) == ("sgd", 0.99, 1)
    assert training.patch == (572, 572)
    assert config.augmentation is not None
    assert (config.augmentation.elastic, config.augmentation.elastic_grid) == (10.0, 3)
    network = build(config.network.model_copy(update={"widths": (2, 2, 2, 2, 2)}), 1, 1)
    dropouts = [isinstance(block.dropout, nn.Dropout) for block in (*network.down, *network.join)]
    assert dropouts == [False, False, False, True, True, False, False, False, False]


def test_settings_come_from_everywhere_in_order(tmp_path: Path) -> None:
    path = tmp_path / "my.yaml"
    path.write_text("training:\n  batch_size: 3\n  momentum: 0.5\ntask.loss: dice\n")
    config = settings("tutorial", path, {"training.momentum": 0.7}, epochs=9, seed=4)
    training = config.training
    assert (training.batch_size, training.momentum, training.epochs, training.seed) == (3, 0.7, 9, 4)
    assert (config.preset, config.task.loss) == ("tutorial", "dice")
    assert settings("tutorial", None, {}, minutes=2).training.epochs is None
    assert settings("tutorial", None, {"training.minutes": 2}).training.epochs is None
    path.write_text("training:\n  minutes: 3\n")
    assert settings("tutorial", path, {}).training.epochs is None
    assert settings("tutorial", path, {"training.epochs": 4}).training.minutes is None
    with pytest.raises(UlnaError, match="cannot both"):
        settings("default", None, {}, minutes=1, epochs=1)
    with pytest.raises(UlnaError, match="both"):
        settings("default", None, {"training.minutes": 1, "training.epochs": 1})


def test_a_file_may_name_the_preset(tmp_path: Path) -> None:
    path = tmp_path / "my.yaml"
    path.write_text("preset: tutorial\ntraining:\n  batch_size: 3\n")
    config = settings(config=path)
    assert (config.preset, config.network, config.training.batch_size) == (
        "tutorial",
        load_preset("tutorial").network,
        3,
    )
    assert settings("tutorial", path) == config
    with pytest.raises(UlnaError, match="names the preset 'tutorial', the command 'paper'"):
        settings("paper", path)
    with pytest.raises(UlnaError, match="--preset NAME"):
        settings(changes={"preset": "paper"})
    path.write_text("preset: tutoral\n")
    with pytest.raises(UlnaError, match="Did you mean 'tutorial'"):
        settings(config=path)
    assert settings(config=config, changes={"training.batch_size": 5}).network == config.network


def test_the_tutorials_first_weights_are_keras_own() -> None:
    torch.manual_seed(0)
    network = build(load_preset("tutorial").network, 3, 1)
    wide = [module for module in network.modules() if isinstance(module, nn.Conv2d) and module.weight.numel() > 2000]
    for module in wide:
        limit = (6 / (9 * (module.in_channels + module.out_channels))) ** 0.5
        assert limit * 0.99 < float(module.weight.detach().abs().max()) <= limit * (1 + 1e-6)
        assert module.bias is not None
        assert not module.bias.any()
    assert len(wide) > 10


INTEL = {8: (8, 16, 32, 64, 128), 16: (16, 32, 64, 128, 256), 32: (32, 64, 128, 256, 512)}


def counted(name: str, base: int, outputs: int) -> tuple[int, int]:
    """Weights that are learned, and running means and variances, which Keras counts too."""
    network = build(load_preset(name).network.model_copy(update={"widths": INTEL[base]}), 1, outputs)
    running = sum(values.numel() for values in network.buffers() if values.is_floating_point())
    return sum(weight.numel() for weight in network.parameters()), running


def test_intels_parameters() -> None:
    assert [counted("intel-2d", base, 1) for base in (8, 16, 32)] == [(485_673, 0), (1_940_817, 0), (7_759_521, 0)]
    assert counted("intel-3d", 16, 1) == (5_647_857, 2_944)
    assert sum(counted("intel-3d", 16, 1)) == 5_650_801
    assert sum(counted("intel-3d", 8, 3)) == 1_414_731


@pytest.mark.parametrize(
    ("name", "batch", "patch", "epochs", "rate", "patience"),
    [("intel-2d", 128, (128, 128), 30, 1e-4, 5), ("intel_3d", 8, (144, 144, 144), 40, 1e-3, None)],
)
def test_intels_recipes(
    name: str, batch: int, patch: tuple[int, ...], epochs: int, rate: float, patience: int | None
) -> None:
    config = load_preset(name)
    training, varied = config.training, config.augmentation
    assert config.preset == name.replace("_", "-")
    assert (training.batch_size, training.patch, training.epochs) == (batch, patch, epochs)
    assert (training.optimizer, training.learning_rate, training.weight_decay) == ("adam", rate, 0)
    assert (training.schedule, training.patience, training.best) == ("constant", patience, "loss")
    assert training.chooses
    assert (config.task.loss, config.data.normalization, config.data.values) == (
        "log_dice",
        "zscore",
        ((0,), (1, 2, 3)),
    )
    assert varied is not None
    kept = {"flip": True, "quarter_turns": 0.5, "scale": (1, 1), "contrast": (1, 1), "gamma": (1, 1)}
    kept |= {"elastic_grid": 3, "spatial_probability": 1, "intensity_probability": 0.5, "slices": None}
    assert {key: value for key, value in varied.model_dump().items() if value != kept.get(key, 0)} == {}


def test_intels_dropout_takes_channels_between_the_convolutions_of_levels_3_and_4() -> None:
    network = build(load_preset("intel-2d").network.model_copy(update={"widths": (2, 2, 2, 2, 2)}), 1, 1)
    between = [isinstance(block.between, nn.Dropout2d) for block in (*network.down, *network.join)]
    assert between == [False, False, True, True, *[False] * 5]
    assert {module.p for module in network.modules() if isinstance(module, nn.Dropout2d)} == {0.2}

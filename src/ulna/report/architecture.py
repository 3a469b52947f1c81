"""The network of a run, what it gives and what it learns by, as a paper says it."""

from __future__ import annotations

from ulna.config import Config
from ulna.report.known import Citations, Facts, small
from ulna.runfiles import as_list, inner
from ulna.text import enumerated, size


def network(config: Config, facts: Facts, cited: Citations) -> str:
    """The network in sentences, with what it gives and its loss.

    Parameters
    ----------
    config
        The configuration of the run.
    facts
        What else is known.
    cited
        Takes the references.

    Returns
    -------
    str
        A paragraph.
    """
    network, kernel = config.network, config.network.kernels
    levels = f"{small(len(network.widths))} levels of {enumerated([str(width) for width in network.widths])} channels"
    if network.name == "fcn8":
        told = [f"The network was FCN-8s{cited.cite('long2015fcn')} with {levels}"]
        told[0] += f"{_norm(config, cited).replace(',', ' and', 1)}."
    else:
        who = ["ronneberger2015unet", *(["cicek2016unet3d"] if network.ndim == 3 else [])]
        first = f"The network was a {network.ndim}D U-Net{cited.cite(*who)} with {levels}"
        if network.encoder_blocks:
            first += f" and residual blocks in its contracting path{cited.cite('isensee2024revisited')}"
        elif network.residual:
            first += " and residual blocks"
        sides = f" of {size((kernel,) * network.ndim)}" if isinstance(kernel, int) else ""
        padded = "unpadded" if network.padding == "valid" else "padded"
        ways = {"transposed": "transposed convolutions", "nearest": "repeated pixels", "linear": "linear interpolation"}
        first += f", {padded} convolutions{sides} with ReLU{_norm(config, cited)}"
        told = [f"{first}, and upsampling by {ways[network.upsampling]}."]
    if isinstance(parameters := facts.record.get("parameters"), int):
        told.append(f"It had {parameters:,} parameters.")
    asked = inner(dict(facts.record), "asked")
    planned = isinstance(inner(asked, "network").get("kernels"), int) and not isinstance(network.kernels, int)
    if network.ndim == 3 and planned and not inner(asked, "training").get("patch"):
        told.append(
            "Patch size, kernels and pooling follow from the median size and spacing of the images by the rules of "
            f"nnU-Net{cited.cite('isensee2021nnunet')}."
        )
    if config.data.slices is not None and network.ndim == 2:
        told.append(f"Volumes were learned and predicted slice by slice, along their axis {'ZYX'[config.data.slices]}.")
    if network.deep_supervision:
        told.append(f"Outputs of lower levels were supervised as well{cited.cite('isensee2021nnunet')}.")
    if network.dropout:
        told.append(f"Dropout{cited.cite('srivastava2014dropout')} had a probability of {network.dropout:g}.")
    origins = {"he": "he2015rectifiers", "he_uniform": "he2015rectifiers", "glorot": "glorot2010difficulty"}
    if any("starts from the weights" in str(one) for one in as_list(facts.record.get("plan"))):
        told.append("Its weights were first those of a model trained before.")
    else:
        whom = "Glorot and Bengio" if network.initialization == "glorot" else "He et al."
        told.append(f"Weights were initialized after {whom}{cited.cite(origins[network.initialization])}.")
    return " ".join([*told, _outputs(config, facts, cited), _loss(config, facts, cited)])


def _norm(config: Config, cited: Citations) -> str:
    norms = {"instance": ("instance", "ulyanov2016instance"), "batch": ("batch", "ioffe2015batch")}
    if config.network.norm not in norms:
        return ""
    kind, key = norms[config.network.norm]
    return f", {kind} normalization{cited.cite(key)}"


def _outputs(config: Config, facts: Facts, cited: Citations) -> str:
    task = facts.task(config)
    if facts.separate(task):
        return (
            f"It gives a probability of its own for {enumerated(list(task.probable))}{cited.cite('isensee2021brats')}."
        )
    said = (
        "the probability of the foreground (sigmoid)"
        if len(facts.classes) == 2
        else "probabilities of the classes (softmax)"
    )
    if not task.finds_objects or config.task.target == "none":
        return f"It gives {said}."
    what = "the distance of each pixel of an object to the object's border, as a share of the largest one"
    what += cited.cite("naylor2019distance")
    if config.task.target == "neighbors":
        what += f", and its distance to neighboring objects{cited.cite('scherr2020distances')}"
    return f"It gives {said} and {what}."


def _loss(config: Config, facts: Facts, cited: Citations) -> str:
    task = config.task
    dice = f"soft Dice loss{cited.cite('milletari2016vnet')}" if "dice" in task.loss else ""
    losses = {
        "dice_cross_entropy": f"the sum of {dice} and cross-entropy",
        "cross_entropy": "cross-entropy",
        "dice": dice,
        "log_dice": f"the negative logarithm of soft Dice{cited.cite('milletari2016vnet')}" if dice else "",
        "own": "a function of our own [say which]",
    }
    told = f"The loss was {losses[task.loss]}"
    if facts.task(config).finds_objects and task.target != "none":
        told += ", plus the mean absolute error of distances within objects"
    if task.border_weight:
        told += (
            f"; pixels between objects weighed up to {task.border_weight:g} more{cited.cite('ronneberger2015unet')}, "
            f"with a width of {task.border_sigma:g} pixels"
        )
    return f"{told}."

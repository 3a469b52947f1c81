"""The methods of a run as a paper says them: paragraphs to copy, with the references that apply."""

from __future__ import annotations

from ulna.config import Config
from ulna.report.architecture import network
from ulna.report.augmented import augmentation
from ulna.report.known import Citations, Facts, small
from ulna.report.references import Reference
from ulna.runfiles import as_list, inner
from ulna.tasks.components import pieces_in_words
from ulna.text import duration, enumerated, plural, size

MODALITIES = {
    "stained": "color images of stained tissue or other bright-field images",
    "fluorescence": "fluorescence images",
    "mr": "magnetic resonance images",
    "ct": "computed tomography images",
    "em": "electron micrographs or other gray images",
}

NORMALIZATIONS = {
    "percentile": "The intensities of each image were scaled linearly, such that their 1st percentile became 0 and "
    "their 99.8th percentile 1.",
    "percentile_by_channel": "The intensities of each channel of each image were scaled linearly, such that their 1st "
    "percentile became 0 and their 99.8th percentile 1.",
    "zscore": "Each channel of each image was brought to mean 0 and standard deviation 1.",
    "zscore_inside": "Each channel of each image was brought to mean 0 and standard deviation 1 of what lies inside of "
    "the body, the constant outside excluded.",
    "range": "Intensities were divided by the largest value of their integer type.",
    "none": "Intensities were used as they are.",
}

MEASURES = {
    "dice": ("the Dice coefficient", "dice1945measures"),
    "iou": ("the intersection over union", ""),
    "ap_50": ("average precision, TP / (TP + FP + FN), of objects matched at an intersection over union of .5", ""),
    "ap": ("average precision, TP / (TP + FP + FN), of objects, averaged over thresholds of .50 to .90", ""),
    "pq": ("panoptic quality", "kirillov2019panoptic"),
    "hd95": ("the 95th percentile of the Hausdorff distance", ""),
    "surface_dice": ("the surface Dice", "nikolov2021surface"),
    "rand": ("the foreground-restricted Rand score", "arganda2015crowdsourcing"),
}
"""What measures are called in papers, and who defined them."""


def methods(config: Config, facts: Facts) -> tuple[list[str], list[Reference]]:
    """What was done, in the past tense.

    Parameters
    ----------
    config
        The configuration of the run, with nothing left open.
    facts
        What else is known.

    Returns
    -------
    list of str, list of Reference
        Paragraphs, in which references stand as numbers in brackets; and the references, in the order of these.
    """
    cited = Citations()
    paragraphs = [
        _data(config, facts),
        network(config, facts, cited),
        _training(config, facts, cited),
        augmentation(config, cited.cite),
        _prediction(config, facts, cited),
        _evaluation(facts, cited),
        _software(facts, cited),
    ]
    return [one for one in paragraphs if one], cited.listed()


def _data(config: Config, facts: Facts) -> str:
    data, folds = config.data, facts.record.get("folds")
    kind = MODALITIES.get(data.modality, "images")
    images = f"{kind[:1].upper()}{kind[1:]} with {plural(data.inputs, 'channel')}"
    told = [f"{images} were segmented into {enumerated(facts.classes[1:])}."]
    if isinstance(folds, int):
        told.append(f"{facts.counted(list(facts.groups))} were split by group into {small(folds)} folds.")
    elif facts.held_out:
        learned, held_out = (facts.counted(side) for side in (facts.train, facts.held_out))
        were = "was" if len(facts.held_out) == 1 else "were"
        told.append(f"The network learned from {learned}; {held_out} {were} held out for validation.")
        told += _split(config, facts)
    else:
        told.append(f"The network learned from {facts.counted(facts.train)}; none were held out.")
    if data.leaks:
        told.append("Images that are near-duplicates or overlapping tiles by their pixels counted as one group.")
    if data.normalization == "ct":
        low, high = data.window or (0.0, 0.0)
        stated = inner(inner(dict(facts.record), "asked"), "data").get("window")
        whose = "" if stated else " (percentiles of the foreground of the training images)"
        told.append(
            f"Intensities were clipped to {low:g} to {high:g}{whose}, and scaled by subtracting {data.center or 0:g} "
            f"and dividing by {data.scale or 1:g}."
        )
    else:
        told.append(NORMALIZATIONS[data.normalization])
    if data.resize:
        told.append(f"Images were resized to {size(data.resize)} pixels.")
    elif any(data.target_spacing or ()):
        apart = " × ".join(f"{side:g}" if side else "their own" for side in data.target_spacing or ())
        told.append(f"Images were resampled to a spacing of {apart} {data.unit}.")
    return " ".join(told)


def _split(config: Config, facts: Facts) -> list[str]:
    """How cases came onto their sides, and whether one group is on both."""
    if facts.shared:
        return ["Images of one group lie on both sides, so scores are optimistically biased."]
    if facts.record.get("split") == "of the data set":
        return ["The split is that of the data set; no group is on both sides."]
    seed = config.training.seed
    return [f"The split was drawn by group (seed {seed}), so that no group is on both sides."] if facts.groups else []


def _training(config: Config, facts: Facts, cited: Citations) -> str:
    training = config.training
    decay = f"weight decay {training.weight_decay:g}"
    optimizers = {
        "muon": f"Muon{cited.cite('jordan2024muon', 'liu2025muon')} for the kernels of convolutions (momentum "
        f"{training.momentum:g}) and AdamW{cited.cite('loshchilov2019adamw')} for all other weights ({decay})"
        if training.optimizer == "muon"
        else "",
        "adamw": f"AdamW{cited.cite('loshchilov2019adamw')} ({decay})" if training.optimizer == "adamw" else "",
        "adam": f"Adam{cited.cite('kingma2015adam')} ({decay})" if training.optimizer == "adam" else "",
        "sgd": f"stochastic gradient descent (momentum {training.momentum:g}, {decay})",
    }
    told = [f"It was trained with {optimizers[training.optimizer]}."]
    if training.schedule == "one_cycle":
        told.append(
            f"The learning rate followed one cycle{cited.cite('smith2019superconvergence')}: up to "
            f"{training.learning_rate:g} within the first fifth of the training, then down to a ten-thousandth of it, "
            "both along a cosine."
        )
    else:
        told.append(f"The learning rate was {training.learning_rate:g} throughout.")
    drawn = "group" if training.sampling == "groups" else "image"
    unit = "voxels" if config.network.ndim == 3 else "pixels"
    told.append(
        f"Batches held {plural(training.batch_size, 'patch', 'patches')} of {size(training.patch)} {unit}, every "
        f"{drawn} drawn equally often, {training.foreground:.0%} of them centered on foreground."
    )
    if training.final_phase and training.final_patch and training.final_patch != training.patch:
        told.append(
            f"In the last {training.final_phase:.0%} of the training, patches had {size(training.final_patch)} {unit}."
        )
    if training.clip:
        told.append(f"Gradients were clipped to a norm of {training.clip:g}.")
    if training.precision == "bf16":
        told.append("The network was computed in mixed precision (bfloat16).")
    told += _length(facts)
    if str(facts.record.get("weights", "last")) == "last":
        told.append("The weights at the end of the training were kept.")
    else:
        what = "lowest loss" if training.best == "loss" else "best score"
        told.append(f"The weights of the epoch with the {what} on the validation images were kept.")
    return " ".join(told)


def _length(facts: Facts) -> list[str]:
    """How long the training was: epochs as `metrics.csv` counts them, steps and time."""
    seconds, folds = facts.record.get("seconds"), facts.record.get("folds")
    took = duration(seconds) if isinstance(seconds, int | float) else ""
    if isinstance(folds, int):
        return [f"All folds together took {took}."] if took else []
    if not facts.rows:
        return []
    last = facts.rows[-1]
    told = f"It took {plural(_whole(last.get('step')), 'step')} in {plural(_whole(last.get('epoch')), 'epoch')}"
    return [f"{told} ({took} in all)." if took else f"{told}."]


def _prediction(config: Config, facts: Facts, cited: Citations) -> str:
    inference, task = config.inference, facts.task(config)
    told = []
    if inference.tiling == "exact" or (config.network.ndim == 2 and inference.tiling == "auto"):
        told.append(
            "Images that are too large for one piece are predicted in overlapping tiles"
            f"{cited.cite('ronneberger2015unet')}, each with as much surrounding as the network sees."
        )
    elif inference.tiling == "blended":
        told.append(_blended(inference.overlap, cited))
    else:
        told.append(
            "Volumes are predicted in one piece where possible; else in windows with as much surrounding as the "
            "network sees where that is no more work, or as follows."
        )
        told.append(_blended(inference.overlap, cited))
    if inference.mirror:
        told.append("Predictions are averaged over the image and its mirror images.")
    if isinstance(folds := facts.record.get("folds"), int):
        told.append(f"For new images the probabilities of the {small(folds)} networks are averaged.")
    if task.finds_objects:
        told.append(_objects(config, facts))
    elif facts.separate(task) or len(facts.classes) == 2:
        told.append(f"A pixel counts as foreground from a probability of {config.task.threshold:g} on.")
    else:
        told.append("A pixel has the class of the highest probability.")
    if pieces := inner(dict(facts.record), "fitted").get("task.largest_component") or config.task.largest_component:
        named = enumerated(pieces_in_words([str(one) for one in as_list(pieces)], facts.classes))
        told.append(f"Of {named} only the largest connected component is kept{cited.cite('isensee2021nnunet')}.")
    return " ".join(told)


def _blended(overlap: float, cited: Citations) -> str:
    return (
        f"Windows overlap by {overlap:.0%} of their side, and are averaged with Gaussian weights"
        f"{cited.cite('isensee2021nnunet')}."
    )


def _objects(config: Config, facts: Facts) -> str:
    decoding = config.task.decoding
    fitted = inner(dict(facts.record), "fitted")
    known = {key.rpartition(".")[2]: value for key, value in fitted.items()}
    known = known or (decoding.known() if decoding else {})
    where = "the images held out" if facts.record.get("fitted_on") == "held out" else "the training images"
    told = (
        "Objects are the basins of a watershed of the predicted distance, within the pixels whose probability of the "
        "foreground is high enough; basins are merged where the distance hardly falls between them, and small objects "
        "removed."
        if config.task.target != "none"
        else "Objects are the basins of a watershed of the probability of the foreground, within the pixels where this "
        "is high enough; basins are merged where it hardly falls between them, and small objects removed."
    )
    if not known:
        return told
    shown = ", ".join(f"{name} {value}" for name, value in known.items())
    how = f"chosen on {where}" if fitted else "as set"
    return f"{told} The constants, {how}, are: {shown}."


def _evaluation(facts: Facts, cited: Citations) -> str:
    metrics = facts.metrics
    measured = [name for name in inner(metrics, "overall") if name in MEASURES]
    if not measured:
        return ""
    named = [f"{MEASURES[name][0]}{cited.cite(MEASURES[name][1])}" for name in measured]
    told = [f"Masks were evaluated at the images' full resolution by {enumerated(named)}, averaged over images."]
    first = measured[0]
    if any(isinstance(one, int | float) for one in as_list(inner(metrics, "overall", first).get("mean_interval"))):
        draws = inner(metrics, "interval").get("draws", 2000)
        told.append(
            f"95 % confidence intervals are from a studentized bootstrap that draws whole groups"
            f"{cited.cite('field2007bootstrapping')} ({draws:,} draws)."
        )
    elif metrics.get("groups"):
        told.append(f"With {plural(metrics['groups'], 'group')} no confidence interval is given.")
    if facts.record.get("weights", "last") != "last" or "fitted" in facts.record:
        told.append("The same images also chose the epoch or what is done with the network's output, as said above.")
    return " ".join(told)


def _software(facts: Facts, cited: Citations) -> str:
    versions, machine = inner(dict(facts.record), "versions"), inner(dict(facts.record), "machine")
    told = [" ".join(filter(None, ("ulna", str(versions.get("ulna") or "")))) + cited.cite("ulna2026")]
    told += [f"Python {versions['python']}"] if versions.get("python") else []
    told += [f"PyTorch {versions['torch']}{cited.cite('ansel2024pytorch')}"] if versions.get("torch") else []
    text = f"All was done with {enumerated(told)}"
    if machine:
        cores = plural(machine.get("cores", 0), "core")
        text += f", on {machine.get('processor')} with {cores} and {machine.get('memory')} of memory"
    device = str(facts.record.get("device") or "")
    return f"{text}{f', the network on {device}' if device and device != 'cpu' else ''}."


def _whole(cell: str | None) -> int:
    try:
        return int(float(cell or 0))
    except ValueError:
        return 0

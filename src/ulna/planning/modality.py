"""What kind of images these are, and what follows for normalization and augmentation."""

from __future__ import annotations

import numpy as np

from ulna.config import Config, Modality
from ulna.errors import UlnaError
from ulna.normalization import fixed_scaling
from ulna.planning.decisions import Decision, decide
from ulna.planning.fingerprint import Fingerprint
from ulna.text import listed, plural

BRIGHT = 0.3
"""From this brightness on, the ground of an image is bright. Measured as medians over data sets: stained tissue and
blood smears .60 to .85, electron microscopy .55; fluorescence below .15, brain MR .03."""

TOGETHER = 0.5
"""From this correlation on, channels show the same thing in several ways (MR: .87), below it several things
(fluorescence)."""

MIN_OUTSIDE = 0.25
"""From this share of pixels outside on, they are not counted: nnU-Net's rule, there for what cropping takes away."""

DEVIATIONS = 4.0
"""How many standard deviations lie between the percentiles that become 0 and 1, about."""

AIR = -500
"""CT holds values below this: air is -1000 Hounsfield units."""

PHOTOGRAPHS = {".jpg", ".jpeg", ".webp"}
MEDICAL = {".nii", ".gz", ".nrrd", ".nhdr", ".mha", ".mhd", ".dcm", ".ima"}
COLORS = 3

TITLES: dict[Modality, str] = {
    "stained": "stained tissue or other color photographs (transmitted light)",
    "fluorescence": "fluorescence",
    "mr": "magnetic resonance (MR)",
    "ct": "computed tomography (CT)",
    "em": "electron microscopy or other gray images",
}

SAID: dict[str, Modality] = {
    "ct": "ct",
    **dict.fromkeys(("mr", "mri", "t1", "t1w", "t1n", "t1c", "t1ce", "t1gd", "t2", "t2w", "t2f", "flair", "adc"), "mr"),
}
"""What names of channels say: DICOM's modality, or those of a `dataset.json`, of which nnU-Net heeds "CT"."""

STAINS = ("augmentation.stain", "augmentation.counterstain", "augmentation.fluorescence_to_brightfield")


def modality_decisions(config: Config, facts: Fingerprint) -> list[Decision]:
    """The modality and, where the images have several channels that are no colors, what it changes."""
    found, reason = modality(facts)
    chosen = decide(config, "data.modality", found, reason)
    decisions = [chosen]
    decisions.append(decide(config, "data.normalization", *_normalization(config, facts, chosen.value)))
    if chosen.value == "stained":
        return decisions
    title = TITLES[chosen.value]
    if config.augmentation and facts.channels >= COLORS:
        why = f"{title}: channels are not mixed as stains are; for tissue in transmitted light they would be"
        decisions += [decide(config, key, 0.0, why) for key in STAINS]
    return decisions


def _normalization(config: Config, facts: Fingerprint, found: Modality) -> tuple[str, str]:
    """How images of this kind are normalized, and why.

    As in nnU-Net, but for images without an outside: for these, percentiles do what its z-score does, are not moved by
    a few bright pixels, and leave what is dark near 0, with which a network pads.
    """
    known = facts.foreground
    if found == "ct" and facts.channels == 1 and known is not None and known.deviation > 0:
        return "ct", "Hounsfield units mean the same in every image: all are scaled alike, by the foreground of all"
    outside = float(np.median([one.outside for one in facts.intensities])) if facts.intensities else 0.0
    volumes = config.network.ndim == 3 or config.data.slices is not None
    if found == "mr" and volumes and outside >= MIN_OUTSIDE:
        return "zscore_inside", f"{outside:.0%} of an image (median) lie outside, with one value, and count for nothing"
    if found != "stained" and facts.channels > 1 and not _gray(facts):
        title = TITLES[found]
        why = f"each channel of {title} has a gray scale of its own; as colors they would share one ('percentile')"
        return "percentile_by_channel", why
    return (
        "percentile",
        "what is dark becomes 0 and what is bright 1 in each image; a few bright pixels do not move that",
    )


def intensity_decisions(config: Config, facts: Fingerprint) -> list[Decision]:
    """What follows from the normalization: the constants of `ct`, and how far intensities are varied.

    Parameters
    ----------
    config
        The settings, with the normalization.
    facts
        What is known of the data.

    Returns
    -------
    list of Decision
        In order.

    Raises
    ------
    UlnaError
        Where the constants are open and no foreground has contrast.
    """
    how, known = config.data.normalization, facts.foreground
    decisions = []
    if how == "ct" and fixed_scaling(config.data) is None:
        if known is None or not known.deviation > 0:
            raise UlnaError(
                "the foreground of the training images has no contrast, which the normalization 'ct' needs",
                where="data.normalization",
                hint="Set data.window, data.center and data.scale, or another normalization.",
            )
        low, high, mean, deviation = map(_rounded, (known.low, known.high, known.mean, known.deviation))
        of = "of the foreground of the training images"
        constants = [
            Decision("data.window", (low, high), f"percentiles 0.5 and 99.5 {of}"),
            Decision("data.center", mean, f"mean {of}"),
            Decision("data.scale", deviation, f"standard deviation {of}"),
        ]
        decisions += [one for one in constants if getattr(config.data, one.key.removeprefix("data.")) is None]
    if how in ("ct", "zscore_inside") and config.augmentation:
        why = f"in standard deviations, of which the range of percentiles holds about {DEVIATIONS:g}"
        usual = type(config.augmentation)()
        for name in ("brightness", "noise"):
            decisions.append(decide(config, f"augmentation.{name}", DEVIATIONS * getattr(usual, name), why))
    return decisions


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")


def modality(facts: Fingerprint) -> tuple[Modality, str]:
    """What kind of images these are, with the reason, how sure it is, and the other reading.

    Decided in this order: by the names of the channels, by unit and kind of the files, by the values (CT), by whether
    three channels are colors (the ground is bright, or the files are photographs), by how channels go together, by the
    brightness of the ground.
    """
    if not facts.intensities:
        return ("stained", "nothing is known of the intensities") if facts.channels == COLORS else ("em", "gray")
    said = {SAID.get(name.casefold()) for name in facts.names}
    if len(said) == 1 and (stated := said.pop()):
        return stated, f"the files say so: {listed(facts.names)}"
    smallest = float(np.median([one.smallest for one in facts.intensities]))
    if facts.unit == "mm" or set(facts.suffixes) & MEDICAL:
        if smallest < AIR and facts.channels == 1:
            return "ct", f"medical images with values down to {smallest:g}, as air has in Hounsfield units"
        return "mr", "medical images (in mm, or of a medical format) that are not in Hounsfield units"
    if smallest < AIR and facts.channels == 1:
        return "ct", f"values down to {smallest:g}, as air has in Hounsfield units; else this is a gray image ('em')"
    if facts.channels == 1 or _gray(facts):
        return _of_gray(facts)
    if facts.channels == COLORS and facts.files == 1:
        return _of_three(facts)
    return _of_stack(facts)


def _of_gray(facts: Fingerprint) -> tuple[Modality, str]:
    bright = float(np.median([one.brightness for one in facts.intensities]))
    stored = ", stored as color images" if facts.channels > 1 else ""
    if facts.unit != "nm" and bright < BRIGHT:
        return "fluorescence", f"gray images on a dark ground (brightness {bright:.2f}){stored}; the other reading: mr"
    return "em", f"gray images on a bright ground (brightness {bright:.2f}){stored}; the other reading: fluorescence"


def _of_three(facts: Fingerprint) -> tuple[Modality, str]:
    colored = [one for one in facts.intensities if not one.gray]
    bright = float(np.median([one.brightness for one in colored]))
    gray = len(facts.intensities) - len(colored)
    beside = f", {plural(gray, 'gray image')} beside them" if gray else ""
    if bright >= BRIGHT:
        sure = "" if bright > 1.5 * BRIGHT else "; not sure, the other reading: mr or fluorescence"
        return "stained", f"color images on a bright ground (brightness {bright:.2f}){beside}{sure}"
    if set(facts.suffixes) & PHOTOGRAPHS:
        return "stained", f"color photographs ({', '.join(facts.suffixes)}){beside}; the other reading: fluorescence"
    together = float(np.median([one.correlation for one in colored]))
    dark = f"three channels on a dark ground (brightness {bright:.2f}) that"
    if together >= TOGETHER:
        return "mr", (
            f"{dark} show the same thing (correlation {together:z.2f}){beside}; a guess, the other readings: "
            "fluorescence (treated alike) or, if these are color photographs, stained"
        )
    return "fluorescence", (
        f"{dark} show different things (correlation {together:z.2f}){beside}; a guess, the other readings: mr (treated "
        "alike) or, if these are color photographs, stained"
    )


def _of_stack(facts: Fingerprint) -> tuple[Modality, str]:
    together = float(np.median([one.correlation for one in facts.intensities]))
    what = f"{plural(facts.channels, 'channel')}, which are no colors"
    counts = all(one.dtype.startswith("uint") for one in facts.intensities)
    if facts.unit not in ("µm", "nm") and (not counts or (facts.files > 1 and together >= TOGETHER)):
        return "mr", f"{what} and go together (correlation {together:z.2f}); the other reading: fluorescence"
    return "fluorescence", f"{what} (correlation {together:z.2f}); the other reading, treated alike: mr"


def _gray(facts: Fingerprint) -> bool:
    """Whether all images are gray ones that are stored with several equal channels."""
    return bool(facts.intensities) and facts.channels > 1 and all(one.gray for one in facts.intensities)

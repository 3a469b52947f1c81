"""What kind of images these are, and what follows for normalization and augmentation."""

from __future__ import annotations

import numpy as np

from ulna.config import Config, Modality
from ulna.planning.decisions import Decision, decide
from ulna.planning.fingerprint import Fingerprint
from ulna.text import plural

BRIGHT = 0.3
"""From this brightness on, the ground of an image is bright. Measured as medians over data sets: stained tissue and
blood smears .60 to .85, electron microscopy .55; fluorescence below .15, brain MR .03."""

TOGETHER = 0.5
"""From this correlation on, channels show the same thing in several ways (MR: .87), below it several things
(fluorescence)."""

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

STAINS = ("augmentation.stain", "augmentation.counterstain", "augmentation.fluorescence_to_brightfield")


def modality_decisions(config: Config, facts: Fingerprint) -> list[Decision]:
    """The modality and, where the images have several channels that are no colors, what it changes."""
    found, reason = modality(facts)
    chosen = decide(config, "data.modality", found, reason)
    decisions = [chosen]
    if chosen.value == "stained" or facts.channels == 1:
        return decisions
    title = TITLES[chosen.value]
    if not _gray(facts):
        why = f"each channel of {title} has a gray scale of its own; as colors they would share one ('percentile')"
        decisions.append(decide(config, "data.normalization", "percentile_by_channel", why))
    if config.augmentation and facts.channels >= COLORS:
        why = f"{title}: channels are not mixed as stains are; for tissue in transmitted light they would be"
        decisions += [decide(config, key, 0.0, why) for key in STAINS]
    return decisions


def modality(facts: Fingerprint) -> tuple[Modality, str]:
    """What kind of images these are, with the reason, how sure it is, and the other reading.

    Decided in this order: by unit and kind of the files, by the values (CT), by whether three channels are colors (the
    ground is bright, or the files are photographs), by how channels go together, by the brightness of the ground.
    """
    if not facts.intensities:
        return ("stained", "nothing is known of the intensities") if facts.channels == COLORS else ("em", "gray")
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

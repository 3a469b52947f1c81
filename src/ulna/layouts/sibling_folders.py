"""A folder of masks beside a folder of images of whatever name: `xrays/a.png` and `masks/a.png`."""

from __future__ import annotations

from collections.abc import Collection

from ulna.dataset import Dataset
from ulna.layouts.listing import Entry, Listing
from ulna.layouts.matching import PART, Pairing, pair, words
from ulna.layouts.pairs import as_dataset, drawn_by_hand, place, sides

EXAMPLE = "one folder of any name beside one of masks, files of the same names:  xrays/a.png  masks/a.png"
Folders = tuple[str, ...]


def read(listing: Listing) -> Dataset | None:
    """The data set, where a folder of masks lies beside one folder of images alone and their files agree in name."""
    return as_dataset(_pairing(listing))


def _pairing(listing: Listing) -> Pairing:
    images, masks = sides(listing)
    homes = _homes(images, drawn_by_hand(masks) or masks)
    found = pair(
        [image for image in images if image in homes],
        [mask for mask in masks if mask in homes],
        lambda entry: (*homes[entry], *entry.folders[len(homes[entry]) :]),
    )
    paired = {entry for of_one, mask in found.pairs for entry in (*of_one, mask)}
    return Pairing(
        found.pairs,
        tuple(image for image in images if image not in paired),
        tuple(mask for mask in masks if mask not in paired),
    )


def _homes(images: Collection[Entry], masks: Collection[Entry]) -> dict[Entry, Folders]:
    """The folder of images that each image lies in, and each mask beside; without those that have none."""
    mask_folder = {mask: mask.folders[: (place(mask) or 0) + 1] for mask in masks}
    around = {folder[:-1] for folder in mask_folder.values()}
    image_folder = {image: _image_folder(image, around) for image in images}
    image_folders = {folder for folder in image_folder.values() if folder}
    partner = {folder: _partner(folder, image_folders, set(mask_folder.values())) for folder in mask_folder.values()}
    homes = image_folder | {mask: partner[folder] for mask, folder in mask_folder.items()}
    return {entry: folder for entry, folder in homes.items() if folder}


def _image_folder(image: Entry, around: Collection[Folders]) -> Folders:
    """The folder named after images, or else the one beside a folder of masks; () where there is none."""
    at = place(image)
    if at is not None:
        return image.folders[: at + 1]
    above = [folders for folders in around if len(folders) < len(image.folders) and _within(image, folders)]
    return image.folders[: max(map(len, above)) + 1] if above else ()


def _within(image: Entry, folders: Folders) -> bool:
    return image.folders[: len(folders)] == folders


def _partner(folder: Folders, images: Collection[Folders], masks: Collection[Folders]) -> Folders:
    """The one folder of images beside this one of masks, of several that of the same part; () if that is not one."""
    beside = [other for other in images if other[:-1] == folder[:-1]]
    baselines = [other for other in masks if other[:-1] == folder[:-1]]
    if len(beside) > 1 or len(baselines) > 1:  # `Training_Input`, `Test_Input` and `Training_GroundTruth`
        beside, baselines = ([other for other in side if _part(other) == _part(folder)] for side in (beside, baselines))
    return beside[0] if len(beside) == len(baselines) == 1 else ()


def _part(folder: Folders) -> list[str]:
    return [word for word in words(folder[-1]) if PART.fullmatch(word)]

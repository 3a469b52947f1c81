"""Connected components: a class that is one piece in every true mask is one piece in a predicted one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ulna.config import TaskConfig, nearest
from ulna.errors import UlnaError
from ulna.image import Labels
from ulna.sections import JOINT
from ulna.text import enumerated

Classes = npt.NDArray[np.uint8]

ONE_PIECE = 0.99
"""A class is one piece where its largest component has this share of its pixels; the rest are slips of the pen."""


def keep_largest(classes: Classes, pieces: Iterable[Sequence[int]]) -> Classes:
    """Make background of all but the largest component of some classes.

    Components touch by faces, edges or corners, as in nnU-Net.

    Parameters
    ----------
    classes
        (*spatial) class indices.
    pieces
        The indices of a class that is one piece, or of several that are one together. Those of most classes come first.

    Returns
    -------
    Classes
        (*spatial), a copy.

    References
    ----------
    Isensee, Jaeger, Kohl, Petersen, Maier-Hein: nnU-Net. Nature Methods 18, 2021: "non-largest component suppression",
    of all foreground and of each class.

    Examples
    --------
    >>> keep_largest(np.array([[1, 1, 0, 1, 0, 2, 0, 2]], np.uint8), [(1,)]).tolist()
    [[1, 1, 0, 0, 0, 2, 0, 2]]
    >>> keep_largest(np.array([[1, 2, 2, 0, 1, 1]], np.uint8), [(1,), (1, 2)]).tolist()
    [[1, 2, 2, 0, 0, 0]]
    """
    kept, boxes = classes.copy(), ndimage.find_objects(classes)
    for piece in sorted(pieces, key=len, reverse=True):
        found = [boxes[index - 1] for index in piece if index <= len(boxes) and boxes[index - 1]]
        if not found:
            continue
        # components are numbered within their box, which takes four bytes per pixel
        box = tuple(
            slice(min(one.start for one in axis), max(one.stop for one in axis)) for axis in zip(*found, strict=True)
        )
        own = np.zeros(kept[box].shape, np.bool_)
        for index in piece:
            own |= kept[box] == index
        kept[box][own & ~_largest(own)] = 0
    return kept


def single(pairs: Iterable[tuple[Labels, Labels]], names: Sequence[str]) -> tuple[str, ...]:
    """Which classes are better for it if only their largest component is kept.

    Of several classes it is asked first whether this holds for all of them together: a class by itself would lose all
    that was found of it where something else that was taken for it is larger.

    Parameters
    ----------
    pairs
        Predicted and true labels of images that were held out of training.
    names
        Of the classes, the background first.

    Returns
    -------
    tuple of str
        Those that are one piece in each true mask that shows them, and whose mean Dice rises; before them all classes,
        joined by `JOINT`, if each is shown, they are one piece together, no class's mean Dice falls and one's rises.
        None where something is not annotated: it is not known how many pieces there are.

    References
    ----------
    As of `keep_largest`.
    """
    classes = range(1, len(names))
    several, met = len(names) > 2 and not any(JOINT in name for name in names), False
    alone, rest, joint = ({index: list[float]() for index in classes} for _ in range(3))
    for found, truth in pairs:
        if not truth.annotated.all():
            return ()
        several = several and _are_together(truth.classes, classes)
        together = keep_largest(found.classes, [tuple(classes)]) if several else found.classes
        shown = 0
        for index in classes:
            there, before, after = (one == index for one in (truth.classes, found.classes, together))
            if index in alone and not _is_one_piece(there):
                del alone[index]
            if not there.any() or not (several or index in alone):
                continue
            shown, old, new = shown + 1, _dice(before, there), _dice(after, there)
            joint[index].append(new - old)
            if index in alone:
                alone[index].append(_dice(_largest(before), there) - old)
                rest[index].append(_dice(_largest(after), there) - new if several else 0.0)
        met = met or shown > 1
    means = [float(np.mean(one)) if one else -1.0 for one in joint.values()]
    union = several and met and min(means) >= 0 and max(means) > 0
    gains = {index: (rest if union else alone)[index] for index in alone}
    better = (names[index] for index, gained in gains.items() if gained and np.mean(gained) > 0)
    return ((JOINT.join(names[1:]),) if union else ()) + tuple(better)


def pieces_in_words(names: Iterable[str], classes: Sequence[str]) -> list[str]:
    """What `task.largest_component` says, in words.

    Parameters
    ----------
    names
        As it has them.
    classes
        Their names, the background first; none where they are not known.

    Returns
    -------
    list of str
        In the order in which they count.

    Examples
    --------
    >>> pieces_in_words(("a+b", "b"), ("background", "a", "b"))
    ['a and b together', 'b']
    """
    made = []
    for name in names:
        parts = _parts(name, classes) if classes else [name]
        made.append(f"{enumerated(parts)} together" if len(parts) > 1 else name)
    return made


def indices_of(name: str, classes: Sequence[str]) -> tuple[int, ...]:
    """The classes that a name stands for: one, or several that `JOINT` joins.

    Parameters
    ----------
    name
        As `task.largest_component` has it.
    classes
        Their names, the background first.

    Returns
    -------
    tuple of int
        Their indices.

    Raises
    ------
    UlnaError
        For a name that no class has.
    """
    named = _parts(name, classes[1:])
    for one in named:
        if one not in classes[1:]:
            what = f"there is no class '{one}'.{nearest(one, classes[1:])}"
            raise UlnaError(what, where="task.largest_component")
    return tuple(classes.index(one) for one in named)


def _parts(name: str, classes: Sequence[str]) -> list[str]:
    return [name] if name in classes else [one.strip() for one in name.split(JOINT)]


def refuse(config: TaskConfig, what: str) -> None:
    """Raise UlnaError where only the largest component of a class is to be kept, by a task that has none of this."""
    if config.largest_component:
        hint = "Leave this setting away, or set task.name=semantic."
        raise UlnaError(f"{what} may be in several pieces", where="task.largest_component", hint=hint)


def _is_one_piece(mask: npt.NDArray[np.bool_]) -> bool:
    """Whether a true mask shows one component, or none."""
    return bool(np.count_nonzero(_largest(mask)) >= ONE_PIECE * np.count_nonzero(mask))


def _are_together(classes: Classes, indices: Iterable[int]) -> bool:
    """Whether the largest component of all that is true holds each of the classes."""
    whole, each = _largest(classes > 0), (classes == index for index in indices)
    return all(np.count_nonzero(one & whole) >= ONE_PIECE * np.count_nonzero(one) for one in each)


def _largest(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The largest component of a mask (*spatial); of several that are as large the first."""
    numbers, count = ndimage.label(mask, ndimage.generate_binary_structure(mask.ndim, mask.ndim))
    if count < 2:
        return mask
    sizes = sum(np.bincount(plane.ravel(), minlength=count + 1) for plane in numbers)  # each copies what it counts
    return np.asarray(numbers == 1 + int(np.asarray(sizes)[1:].argmax()))


def _dice(one: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_]) -> float:
    return 2 * float(np.count_nonzero(one & other)) / float(np.count_nonzero(one) + np.count_nonzero(other))

"""The protocol of a task: what training, prediction and evaluation need to know of a question."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from ulna.image import Grid, Labels
from ulna.metrics.rows import Primary, Row

if TYPE_CHECKING:  # who scores masks that lie in files needs no torch
    from torch import Tensor

Maps = npt.NDArray[np.float32]


class Task(Protocol):
    """A question asked of images.

    Shapes: N patches, L layers of labels (class indices and, with L = 2, numbers of objects), M maps, K `outputs`.
    """

    @property
    def outputs(self) -> int:
        """The number of the network's output channels, K."""
        ...

    @property
    def probable(self) -> tuple[str, ...]:
        """What the first maps of `activate` are the probabilities of: the names of classes, or of regions."""
        ...

    @property
    def exclusive(self) -> int:
        """The first so many logits are a softmax over classes that exclude each other; each of the others a sigmoid."""
        ...

    @property
    def primary(self) -> Primary:
        """By what it is evaluated."""
        ...

    @property
    def pixelwise(self) -> bool:
        """Whether the label of a pixel depends on the outputs at this pixel alone, so that regions may be decoded."""
        ...

    @property
    def finds_objects(self) -> bool:
        """Whether it tells the objects of a class apart."""
        ...

    @property
    def fits(self) -> float:
        """How long `fit` takes for an image, in multiples of a validation of it; 0: there is nothing to fit."""
        ...

    @property
    def fits_volumes(self) -> bool:
        """Whether `fit_volumes` chooses anything."""
        ...

    @property
    def one_piece(self) -> tuple[tuple[int, ...], ...]:
        """Indices of a class, or of classes together, of which an image or a volume shows one connected component at
        most."""
        ...

    def maps(self, labels: Tensor, grid: Grid) -> Tensor:
        """What is learned from labels.

        An object that augmentation or the patch's border cut in two is two.

        Parameters
        ----------
        labels
            (N, L, *spatial), already augmented.
        grid
            Of a patch.

        Returns
        -------
        Tensor
            (N, M, *spatial).
        """
        ...

    def losses(self, outputs: Tensor, maps: Tensor) -> dict[str, Tensor]:
        """The terms of the loss, whose sum is made small.

        Parameters
        ----------
        outputs
            Logits (N, K, *spatial).
        maps
            What `maps` gave, (N, M, *spatial).

        Returns
        -------
        dict of Tensor
            A scalar per term.
        """
        ...

    def activate(self, logits: Maps) -> Maps:
        """From logits to what they mean.

        Parameters
        ----------
        logits
            (K, *spatial).

        Returns
        -------
        Maps
            The probabilities of all that is `probable`, classes with the background first, then further maps.
        """
        ...

    def average(self, several: Iterable[Maps]) -> Maps:
        """Logits whose activations are the means of the activations of several: of an ensemble, of mirrored images.

        Parameters
        ----------
        several
            Logits (K, *spatial), one after the other, at least one.

        Returns
        -------
        Maps
            Logits (K, *spatial).
        """
        ...

    def decode(self, activated: Maps, grid: Grid) -> Labels:
        """Labels of what the network says.

        Parameters
        ----------
        activated
            What `activate` gave, (…, *spatial).
        grid
            Of the image.

        Returns
        -------
        Labels
            On this grid.
        """
        ...

    def fit(self, answers: Iterable[tuple[Maps, Labels]], truth: Iterable[Labels]) -> dict[str, Any]:
        """Choose the constants of `decode` once the network is trained.

        Parameters
        ----------
        answers
            What `activate` gave for images that were held out of training, and their true labels.
        truth
            Labels of training images.

        Returns
        -------
        dict
            Settings by their dotted names; empty where there is nothing to choose.
        """
        ...

    def fit_volumes(self, pairs: Iterable[tuple[Labels, Labels]]) -> dict[str, Any]:
        """Choose what is done with the labels of a whole volume once the network is trained.

        Parameters
        ----------
        pairs
            Predicted and true labels of volumes that were held out of training.

        Returns
        -------
        dict
            Settings by their dotted names; empty where there is nothing to choose.
        """
        ...

    def evaluate(self, labels: Labels, truth: Labels, *, briefly: bool = False, apart: int | None = None) -> list[Row]:
        """Compare predicted and true labels; `IGNORE` counts for nothing.

        Parameters
        ----------
        labels
            Predicted.
        truth
            The ground truth.
        briefly
            Whether measures that take long may be left out, though not the primary one: while a network is trained.
        apart
            Of objects in a volume, the axis along which they are those of single planes; None: they go on.

        Returns
        -------
        list of Row
            Rows of the long table, without case and group.
        """
        ...

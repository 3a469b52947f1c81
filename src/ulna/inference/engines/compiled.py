"""What engines of other libraries share: networks told apart by their weights, and a folder for what is compiled."""

from __future__ import annotations

import os
import sys
from collections import OrderedDict
from collections.abc import Callable, Hashable
from contextlib import suppress
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from threading import Lock
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from torch import Tensor, nn

from ulna import networks
from ulna.errors import WriteError
from ulna.formats.atomic import atomic_write

T = TypeVar("T")

KEPT = 8
"""So many compiled networks are kept in memory: an ensemble of five folds, or images of several sizes."""

LARGEST = 2 << 30
"""Bytes of the folder of compiled networks; what was not used for longest is deleted."""


def cache_folder() -> Path:
    """Where compiled networks are kept from one process to the next.

    Returns
    -------
    Path
        `ulna` in the folder that the system has for such files: `~/.cache` or `$XDG_CACHE_HOME` on Linux,
        `~/Library/Caches` on macOS, `%LOCALAPPDATA%` on Windows. It may be deleted at any time.
    """
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "ulna"


def weights_hash(network: nn.Module) -> str:
    """What tells a network from all others: the SHA-256 of its layers and weights.

    Parameters
    ----------
    network
        Any network.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    digest = sha256(f"{type(network).__qualname__} {network}".encode())
    for name, tensor in network.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


class Hashes:
    """The `weights_hash` of networks, computed anew where weights have changed."""

    def __init__(self) -> None:
        self._known: WeakKeyDictionary[nn.Module, tuple[Hashable, str]] = WeakKeyDictionary()
        self._lock = Lock()

    def of(self, network: nn.Module) -> str:
        """The hash of a network's weights as they are now."""
        state = tuple(map(_state, chain(network.parameters(), network.buffers())))
        with self._lock:
            before = self._known.get(network)
            if before is None or before[0] != state:
                before = self._known[network] = (state, weights_hash(network))
            return before[1]


def _state(tensor: Tensor) -> Hashable:
    """What changes with the numbers of a tensor; PyTorch counts no changes of those made in inference mode."""
    changes = 0 if tensor.is_inference() else tensor._version
    return tensor.data_ptr(), changes, tensor.device, tensor.dtype


class Recent(Generic[T]):
    """The last things that were made, by their keys; each is made once, also for several threads."""

    def __init__(self, count: int = KEPT) -> None:
        self._count = count
        self._made: OrderedDict[Hashable, T] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """What has this key; it is made where it is not there."""
        with self._lock:
            if key not in self._made:
                self._made[key] = make()
            self._made.move_to_end(key)
            while len(self._made) > self._count:
                self._made.popitem(last=False)
            return self._made[key]


@cache
def _code() -> str:
    """What changes with the code that networks are made of."""
    places = [Path(str(networks.__file__)).parent, Path(__file__).parent]
    digest = sha256()
    for path in (path for place in places for path in sorted(place.glob("*.py"))):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def from_disk(folder: Path, key: Hashable, suffix: str, *, make: Callable[[], bytes], use: Callable[[bytes], T]) -> T:
    """What is made of a key: by an earlier process, or else now, and kept for later ones.

    Parameters
    ----------
    folder
        Where it is kept; one that cannot be written keeps nothing.
    key
        What it depends on, beside the versions of `ulna` and torch and the code that networks are made of.
    suffix
        Of the file.
    make
        Makes the bytes of the file.
    use
        Makes of these what is wanted; a RuntimeError says that the file of an earlier process is damaged.

    Returns
    -------
    object
        What `use` gives.
    """
    words = f"{version('ulna')} {_code()} {version('torch')} {key}"
    path = folder / f"{sha256(words.encode()).hexdigest()[:32]}{suffix}"
    with suppress(OSError, RuntimeError):
        found = use(path.read_bytes())
        with suppress(OSError):
            path.touch()
        return found
    made = make()
    with suppress(OSError, WriteError):
        with atomic_write(path) as beside:
            beside.write_bytes(made)
        _shrink(folder)
    return use(made)


def _shrink(folder: Path) -> None:
    """Delete the files that were not used for longest, until the folder is no larger than it may be."""
    files = sorted((path.stat().st_mtime, path.stat().st_size, path) for path in folder.iterdir() if path.is_file())
    total = sum(size for _, size, _ in files)
    for _, size, path in files[:-1]:
        if total <= LARGEST:
            return
        path.unlink(missing_ok=True)
        total -= size

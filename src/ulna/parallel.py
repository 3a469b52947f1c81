"""Work in threads whose results come in order, and few of which wait in memory."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from ulna.memory import free_memory

T = TypeVar("T")
R = TypeVar("R")


def in_parallel(
    work: Callable[[T], R],
    items: Iterable[T],
    *,
    weigh: Callable[[T], int] | None = None,
    budget: int = 0,
    threads: int = 0,
) -> Iterator[R]:
    """The results of `work` in the order of the items, a few of them ahead in threads.

    For reading and decoding, which leave Python's lock alone. No more than a few results wait in memory.

    Parameters
    ----------
    work
        What is done with each item.
    items
        What it is done with.
    weigh
        How many bytes an item takes in memory; by default items are not weighed.
    budget
        How many bytes may be in flight together (one item always may); 0: a quarter of the free memory.
    threads
        How many work at a time; 0: as many as there are cores, at most 8.

    Yields
    ------
    R
        A result per item.
    """
    workers = threads or min(8, os.cpu_count() or 1)
    budget = budget or free_memory() // 4
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[tuple[Future[R], int]] = deque()
        load = 0
        try:
            for item in items:
                weight = weigh(item) if weigh else 0
                while waiting and (len(waiting) > workers or load + weight > budget):
                    future, done = waiting.popleft()
                    yield future.result()
                    load -= done
                waiting.append((pool.submit(work, item), weight))
                load += weight
            while waiting:
                yield waiting.popleft()[0].result()
        finally:
            for future, _ in waiting:
                future.cancel()

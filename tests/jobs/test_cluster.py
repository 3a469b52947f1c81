"""Prediction by a Dask cluster of two processes: the same masks, whatever becomes of a worker."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed import Client, LocalCluster

import ulna
from command_line import CommandLine
from ulna import formats
from ulna.errors import UlnaError
from ulna.image import Image, Source
from ulna.inference import room
from ulna.jobs import cluster as module
from ulna.model import Model

TORCH = {"inference.engine": "torch", "inference.tile": 48}


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    """One for each test: what a test changes in its workers, or whom of them it kills, is gone with it."""
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0", memory_limit=0) as made:
        yield made


@pytest.fixture
def client(cluster: LocalCluster) -> Iterator[Client]:
    with Client(cluster, set_as_default=False) as made:
        made.wait_for_workers(2)
        yield made


# What is done in workers are functions within functions: these travel by themselves, and no worker knows this file.


def first_worker(client: Client) -> str:
    return min(client.nthreads())


def folder_of(place: Path) -> dict[str, object]:
    """What a folder of masks holds: bytes of masks, and lines of lists in any order."""
    files = {path.name: path.read_bytes() for path in place.iterdir() if path.is_file() and path.name != ".ulna.lock"}
    return files | {"objects.csv": sorted(files["objects.csv"].splitlines())}


def dies_with_an_image() -> Callable[[], None]:
    def change() -> None:
        import os

        from ulna.jobs import cluster

        cluster.make = lambda *_words, **_names: os._exit(9)

    return change


def dies_with_the_third_region() -> Callable[[], None]:
    def change() -> None:
        import os

        from ulna.inference.kept import Kept

        put, count = Kept.put, []

        def counted(self, region, array) -> None:
            count.append(region)
            put(self, region, array) if len(count) < 3 else os._exit(9)

        Kept.put = counted

    return change


def finds_small_images_large() -> Any:
    """For all workers, those among them that are started in place of others."""
    from distributed import WorkerPlugin

    class Small(WorkerPlugin):
        def setup(self, worker: Any) -> None:
            from ulna.inference import room

            room.LARGE[2] = 0

    return Small()


@pytest.mark.parametrize("dying", [False, True])
def test_images_are_predicted_as_here(
    client: Client, finder: Model, cells: Path, tmp_path: Path, cli: CommandLine, dying: bool
) -> None:
    images = sorted((cells / "images").iterdir())
    here = ulna.predict(finder.changed(TORCH), images, out=tmp_path / "here")
    if dying:
        client.run(dies_with_an_image(), workers=[first_worker(client)])
    address = client.scheduler.address
    words = [word for key, value in TORCH.items() for word in ("--set", f"{key}={value}")]
    said = cli("predict", finder.saved.folder, *images, "--out", tmp_path / "there", "--cluster", address, *words)
    assert said.code == 0, said.err
    assert f"{len(images)} masks written" in said.out
    assert "their classes and scores are in objects.csv" in said.out
    assert folder_of(tmp_path / "there") == folder_of(here.folder)


@pytest.mark.parametrize("dying", [False, True])
def test_a_large_image_is_predicted_in_bands(
    client: Client, finder: Model, many: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dying: bool
) -> None:
    formats.write(tmp_path / "a.tif", many)
    monkeypatch.setitem(room.LARGE, 2, 0)
    here = ulna.predict(finder.changed(TORCH), tmp_path / "a.tif", out=tmp_path / "here")
    client.register_plugin(finds_small_images_large())
    if dying:
        client.run(dies_with_the_third_region(), workers=[first_worker(client)])
    own: list[int] = []
    masks = type(finder.large).outputs
    monkeypatch.setattr(type(finder.large), "outputs", lambda *a, **k: _counted(own, masks(*a, **k)))
    where = client.scheduler.address
    there = ulna.predict(finder.saved.folder, tmp_path / "a.tif", out=tmp_path / "there", changes=TORCH, cluster=where)
    assert there.complete
    assert not own or dying  # this process has computed nothing that workers had
    masks_found = [formats.read(Source(done.masks[0])) for done in (there, here)]
    np.testing.assert_array_equal(masks_found[0].array, masks_found[1].array)
    assert masks_found[0].grid == masks_found[1].grid
    assert masks_found[0].array.max() > 20
    lists = [(done.folder / "objects.csv").read_text("utf-8") for done in (there, here)]
    assert lists[0] == lists[1]


def _counted(own: list[int], regions: Iterator[tuple[object, object]]) -> Iterator[tuple[object, object]]:
    for one in regions:
        own.append(1)
        yield one


def test_an_image_that_no_worker_survives_is_reported(
    cluster: LocalCluster, client: Client, run: Path, cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.run(dies_with_an_image())
    monkeypatch.setattr(cluster.scheduler, "allowed_failures", 0)
    image = cells / "images" / "cells_000.png"
    done = ulna.predict(run, image, out=tmp_path / "masks", cluster=client.scheduler.address)
    assert done.failed == (("cells_000", "each worker that predicted it died: is their memory large enough?"),)
    assert not done.masks


def test_an_image_that_cannot_be_read_is_reported(client: Client, run: Path, cells: Path, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")
    images = [tmp_path / "a.png", cells / "images" / "cells_000.png"]
    done = ulna.predict(run, images, out=tmp_path / "masks", cluster=client.scheduler.address)
    assert [name for name, _ in done.failed] == ["a"]
    assert [path.name for path in done.masks] == ["cells_000.png"]


def test_a_cluster_that_is_none(
    run: Path, cells: Path, tmp_path: Path, cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.4)
    said = cli("predict", run, cells / "images", "--out", tmp_path / "masks", "--cluster", "tcp://127.0.0.1:9")
    assert said.code == 2
    assert "there is no scheduler at tcp://127.0.0.1:9" in said.err
    assert "dask worker" in said.err


def test_a_cluster_without_workers(run: Path, cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 4)
    with (
        LocalCluster(n_workers=0, dashboard_address=":0") as empty,
        pytest.raises(UlnaError, match="the cluster has no workers"),
    ):
        ulna.predict(run, cells / "images", out=tmp_path / "masks", cluster=empty.scheduler_address)


def test_workers_that_are_gone_are_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.2)
    with (
        LocalCluster(n_workers=0, dashboard_address=":0") as empty,
        Client(empty, set_as_default=False) as client,
        pytest.raises(UlnaError, match="no worker of the cluster is left"),
    ):
        list(module._Ending(client, (client.submit(int),)))


def test_what_does_not_go_together(finder: Model, run: Path, cells: Path, tmp_path: Path) -> None:
    with pytest.raises(UlnaError, match="workers load the model from its file"):
        ulna.predict(finder, cells / "images", out=tmp_path / "masks", cluster="tcp://127.0.0.1:9")
    with pytest.raises(UlnaError, match="one process asks a cluster"):
        ulna.predict(run, cells / "images", out=tmp_path / "masks", part="1/2", cluster="tcp://127.0.0.1:9")

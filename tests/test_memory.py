"""Free memory: of the machine, of a container, of a job of a cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from ulna.memory import free_memory, of_machine

NAMES = [("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes")]
MEMBERSHIP = "12:cpu,cpuacct:/jobs\n4:memory:/jobs/17/step\n0::/jobs/17/step\n"


def limited(place: Path, names: tuple[str, str], limit: str, used: str) -> Path:
    """The folder in which the limit of a group is stated."""
    limit_file, used_file = (place / Path(name).name for name in names)
    place.mkdir(parents=True, exist_ok=True)
    limit_file.write_text(f"{limit}\n")
    used_file.write_text(f"{used}\n")
    return place


def free(tmp_path: Path) -> int:
    return free_memory(available=lambda: 10_000, groups=tmp_path, membership=tmp_path / "membership")


@pytest.mark.parametrize("names", NAMES)
def test_a_container_may_have_less_than_the_machine(tmp_path: Path, names: tuple[str, str]) -> None:
    top = (tmp_path / names[0]).parent
    limited(top, names, "max", "700")
    assert free(tmp_path) == 10_000
    limited(top, names, "1000", "700")
    assert free(tmp_path) == 300
    (top / "memory.stat").write_text("anon 400\ninactive_file 250\n")
    assert free(tmp_path) == 550
    (top / "memory.stat").write_text("inactive_file 250\ntotal_inactive_file 260\n")  # with those of groups within
    assert free(tmp_path) == 560
    limited(top, names, "1000000", "700")
    assert free(tmp_path) == 10_000


@pytest.mark.parametrize("names", NAMES)
@pytest.mark.parametrize("level", ["jobs/17/step", "jobs/17", "jobs", ""])
def test_the_limit_of_a_job_holds_wherever_it_is_stated(tmp_path: Path, names: tuple[str, str], level: str) -> None:
    (tmp_path / "membership").write_text(MEMBERSHIP)
    top = (tmp_path / names[0]).parent
    for inner in ("jobs/17/step", "jobs/17", "jobs", ""):
        limited(top / inner, names, "1000" if inner == level else "5000", "100")
    assert free(tmp_path) == 900
    limited(top / "jobs/18", names, "200", "100")  # another job's
    assert free(tmp_path) == 900


def test_without_groups_the_machine_counts(tmp_path: Path) -> None:
    """As on macOS and Windows."""
    assert free(tmp_path) == 10_000
    assert 10**6 < free_memory(groups=tmp_path, membership=tmp_path / "none") <= 2 * of_machine()

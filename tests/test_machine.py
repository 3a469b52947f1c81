"""What is recorded of the machine, and when."""

from __future__ import annotations

import getpass
import os
import platform
from datetime import datetime
from pathlib import Path

from ulna.machine import machine, now, processor


def test_the_time_is_written_with_its_distance_from_utc() -> None:
    assert datetime.fromisoformat(now()).utcoffset() is not None
    assert "." not in now()


def test_the_machine_is_described_without_names() -> None:
    found = machine()
    assert list(found) == ["system", "processor", "cores", "memory"]
    assert found["cores"] == os.cpu_count()
    assert str(found["memory"]).endswith(("GiB", "MiB"))
    assert all(found.values())
    assert platform.node() not in str(found) or len(platform.node()) < 4
    assert getpass.getuser() not in str(found) or len(getpass.getuser()) < 5


def test_the_processor_is_that_of_the_list_or_at_least_its_kind(tmp_path: Path) -> None:
    listing = tmp_path / "cpuinfo"
    listing.write_text("processor\t: 0\nmodel name\t: \nmodel name\t: Some CPU: 3 GHz\nmodel name\t: other\n")
    assert processor(listing) == "Some CPU: 3 GHz"
    listing.write_text("processor\t: 0\nCPU part\t: 0xd0c\n")
    assert processor(listing) == processor(tmp_path / "none") == (platform.processor() or platform.machine())

"""References as journals list them and as BibTeX."""

from __future__ import annotations

import re

import pytest

from ulna.report.references import REFERENCES


@pytest.mark.parametrize("key", REFERENCES)
def test_each_has_what_an_entry_needs(key: str) -> None:
    one = REFERENCES[key]
    entry = one.bibtex()
    assert entry.startswith(f"@{one.kind}{{{key},\n  author = {{")
    assert entry.count("{") == entry.count("}")
    assert f"year = {{{one.year}}}" in entry
    assert str(one.year) in key
    assert f"({one.year})." in str(one)
    assert one.doi == "" or re.fullmatch(r"10\.\d{4,9}/\S+", one.doi)
    assert ("doi = " in entry) == ("doi:" in str(one)) == bool(one.doi)
    assert "http" not in entry  # the page names no address
    for name in re.findall(r"author = \{(.*)\}", entry)[0].split(" and "):
        assert re.fullmatch(r"[\w-]+, (\w\.( |$))+|others|\{The ulna developers\}", name), name


def test_no_doi_stands_twice() -> None:
    known = [one.doi for one in REFERENCES.values() if one.doi]
    assert len(set(known)) == len(known)


def test_one_in_full() -> None:
    assert str(REFERENCES["isensee2021nnunet"]) == (
        "Isensee F, Jaeger PF, Kohl SAA, Petersen J, Maier-Hein KH. nnU-Net: a self-configuring method for deep "
        "learning-based biomedical image segmentation. Nature Methods 18:203–211 (2021). doi:10.1038/s41592-020-01008-z"
    )
    assert REFERENCES["isensee2021nnunet"].bibtex() == (
        "@article{isensee2021nnunet,\n"
        "  author = {Isensee, F. and Jaeger, P. F. and Kohl, S. A. A. and Petersen, J. and Maier-Hein, K. H.},\n"
        "  title = {{nnU-Net: a self-configuring method for deep learning-based biomedical image segmentation}},\n"
        "  journal = {Nature Methods},\n"
        "  volume = {18},\n"
        "  pages = {203--211},\n"
        "  year = {2021},\n"
        "  doi = {10.1038/s41592-020-01008-z}\n"
        "}"
    )

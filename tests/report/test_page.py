"""The report: from a whole run, an empty one, a hostile one; and that it needs nothing but itself."""

from __future__ import annotations

import json
import re
import shutil
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from ulna.errors import UlnaError
from ulna.metrics import Row, Scored, measure, summarize
from ulna.metrics.table import write_table
from ulna.report import chose, page, write_report

CLASSES = ("background", "nucleus")
EVIL = "<script>alert('1')</script>\"&"
VOID = {"meta", "img", "br", "line"}


class _Page(HTMLParser):
    """The elements of a page, that they are closed in order, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = self.script = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            if "script" in self.open:
                self.script += data
            else:
                self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def _page(run: Path) -> _Page:
    page = _Page(write_report(run).read_text(encoding="utf-8"))
    assert page.open == []
    return page


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run as training leaves it behind."""
    folder = tmp_path / "my run"
    (folder / "scores").mkdir(parents=True)
    rng = np.random.default_rng(0)
    truth = rng.integers(2, size=(12, 1, 9, 9))
    mask = np.where(rng.random(truth.shape) < 0.1, 1 - truth, truth)
    scored = [
        Scored.of(measure(m, t, CLASSES), name=f"case{k}", group=str(k // 2))
        for k, (m, t) in enumerate(zip(mask, truth, strict=True))
    ]
    told = summarize(scored)
    words = {"classes": CLASSES, "notes": ["255 is nucleus."], "left_out": told.left_out(), **told.as_json()}
    (folder / "scores/metrics.json").write_text(json.dumps(words))
    write_table(folder / "scores/scores.csv", [row for one in scored for row in one.rows])
    for name in ("samples", "augmented", "curves", "scores/cases"):
        PIL.Image.new("RGB", (8, 8)).save(folder / f"{name}.png")
    problem = {"what": "3 masks are empty", "where": ["case1", "case2"], "severity": "warning"}
    (folder / "check.json").write_text(json.dumps({"sentence": "Pairs of folders.", "problems": [problem]}))
    (folder / "metrics.csv").write_text("epoch,val_dice\n1,0.5\n2,0.75\n3,\n")
    (folder / "run.json").write_text(
        json.dumps(
            {
                "command": "ulna train data --out run", "seed": 7, "seconds": 615, "data_hash": "9f86d081",
                "plan": ["A 2D unet.", "10 minutes in all."], "versions": {"torch": "2.13.0"},
            }
        )
    )  # fmt: skip
    (folder / "config.yaml").write_text("preset: default\n")
    (folder / "train.txt").write_text("a\nb\n")
    return folder


def test_a_whole_run_is_told(run):
    page = _page(run)
    for words in (
        "my run", "Pairs of folders.", "3 masks are empty", "case1, case2", "A 2D unet.", "255 is nucleus.",
        "ulna train data --out run", "9f86d081", "torch 2.13.0", "preset: default", "10 min 15 s",
        "12 images in 6 groups",
    ):  # fmt: skip
        assert words in page.text, words
    dice = json.loads((run / "scores/metrics.json").read_text())["overall"]["dice"]
    low, high = dice["mean_interval"]
    assert f"{dice['mean']:.3f}" in page.text
    assert f"{low:.3f}–{high:.3f}" in page.text
    assert len(page.all("circle")) == 12
    images = page.all("img")
    assert len(images) == 4
    assert all(image["alt"] for image in images)
    assert any("best validation Dice is 0.750" in (image["alt"] or "") for image in images)
    assert "This run holds no" not in page.text


@pytest.mark.parametrize(("weights", "said"), [("last", False), ("of the best epoch", True)])
def test_it_says_when_the_scored_images_chose(run, weights, said):
    words = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(words | {"weights": weights}))
    assert ("These images also chose the best epoch" in _page(run).text) is said


def test_it_needs_nothing_but_itself(run):
    page = _page(run)
    assert {"link", "iframe", "object"}.isdisjoint(tag for tag, _ in page.found)
    assert page.all("script") == [{}]
    (policy,) = (one["content"] for one in page.all("meta") if "http-equiv" in one)
    assert f"script-src 'sha256-{b64encode(sha256(page.script.encode()).digest()).decode()}'" in str(policy)
    places = [value for _, attributes in page.found for name, value in attributes.items() if name in ("src", "href")]
    assert all(re.match(r"data:image/(png|jpeg);base64,|#", place or "") for place in places)
    assert "url(" not in (run / "report.html").read_text()
    assert "http" not in re.sub(r'http-equiv="', "", (run / "report.html").read_text())


def test_every_case_is_in_the_gallery_and_opens_without_scripts(run):
    folder = run / "scores" / "gallery"
    folder.mkdir()
    PIL.Image.new("RGB", (8, 4)).save(folder / "001.jpg")
    cases = [{"file": "001.jpg", "case": f"{EVIL}{k}", "group": "g", "score": None, "odd": ""} for k in range(3)]
    legend = {"difference": {EVIL: [240, 240, 240]}}
    (folder / "gallery.json").write_text(json.dumps({"cases": cases, "legend": legend, "left_out": "3 of 9 cases."}))
    page = _page(run)
    figures = [one for one in page.all("figure") if "data-place" in one]
    assert [one["id"] for one in figures] == ["case-1", "case-2", "case-3"]
    assert [one["data-name"] for one in figures] == [f"{EVIL}{k}" for k in range(3)]
    links = [one["href"] for one in page.all("a") if one.get("class") in ("large", "close")]
    assert links == ["#case-1", "#at-1", "#case-2", "#at-2", "#case-3", "#at-3"]
    assert sum((one["src"] or "").startswith("data:image/jpeg") for one in page.all("img")) == 3
    assert "3 of 9 cases." in page.text
    assert page.text.count(EVIL) == 4
    (buttons,) = (one for one in page.all("p") if one.get("class") == "sort")
    assert "hidden" in buttons  # without scripts nothing can be sorted


def test_a_confusion_matrix_has_its_own_class_marked(run):
    words = json.loads((run / "scores/metrics.json").read_text())
    matrix = {"classes": ["background", "a", "b"], "pixels": [[8, 2, 0], [0, 5, 0], [0, 1, 3]]}
    (run / "scores/metrics.json").write_text(json.dumps(words | {"confusion": matrix}))
    page = _page(run)
    text = " ".join(page.text.split())
    assert "Which class was taken for which, in pixels of all images together" in text
    assert "75.0%" in text
    own = [one for one in page.all("td") if one.get("class") == "number own"]
    assert [one["style"] for one in own] == ["--share: 0.8", "--share: 1.0", "--share: 0.75"]


def test_methods_can_be_copied_where_the_run_was_planned(run):
    assert "Methods, to copy" not in _page(run).text
    words = json.loads((run / "run.json").read_text()) | {"classes": {"names": CLASSES}, "split": "drawn"}
    (run / "run.json").write_text(json.dumps(words))
    (run / "config.yaml").write_text("data: {channels: 1}\ntraining: {patch: [64, 64], batch_size: 4}\n")
    (run / "validation.txt").write_text("c\n")
    (run / "check.json").write_text(json.dumps({"groups": {"a": "one", "b": "one", "c": "two"}}))
    text = " ".join(_page(run).text.split())
    assert "Methods, to copy" in text
    assert "The network learned from 2 images in 1 group; 1 image in 1 group was held out for validation." in text
    assert "doi:10.1007/978-3-319-24574-4_28" in text
    assert "@inproceedings{ronneberger2015unet," in text


def test_few_groups_are_warned_of(run):
    assert "Few groups." in _page(run).text  # six
    _scored(run, 12)
    assert "Few groups." not in _page(run).text


def test_an_empty_run_says_what_is_missing(tmp_path):
    page = _page(tmp_path)
    for name in ("check.json", "run.json", "curves.png", "scores/metrics.json"):
        assert name in page.text
    assert page.all("img") == []


def test_names_from_a_file_system_do_no_harm(run, tmp_path):
    hostile = run.rename(tmp_path / "<b>&'run")
    (hostile / "run.json").write_text(json.dumps({"command": EVIL, EVIL: EVIL, "plan": [EVIL], "versions": {EVIL: 1}}))
    problem = {"what": EVIL, "where": [EVIL], "severity": EVIL}
    (hostile / "check.json").write_text(json.dumps({"sentence": EVIL, EVIL: EVIL, "problems": [problem]}))
    (hostile / "config.yaml").write_text(EVIL)
    (hostile / "train.txt").write_text(EVIL)
    words = json.loads((hostile / "scores/metrics.json").read_text())
    words |= {"notes": [EVIL], "per_class": {EVIL: words["overall"]}}
    (hostile / "scores/metrics.json").write_text(json.dumps(words))
    table = (hostile / "scores/scores.csv").read_text().replace("case1,", "</table><script>,")
    (hostile / "scores/scores.csv").write_text(table.replace("nucleus", "<svg onload=x>"))
    page = _page(hostile)
    assert page.all("script") == [{}]
    assert "alert" not in page.script
    assert not any(name.startswith("on") for _, attributes in page.found for name in attributes)
    assert page.text.count(EVIL) >= 8


@pytest.mark.parametrize("broken", ["check.json", "run.json", "scores/metrics.json", "train.txt"])
@pytest.mark.parametrize("content", [b"{", b"[1]", b"\xff\xfe\x00", b"{}", b'{"plan": 3, "problems": 5, "overall": 1}'])
def test_what_cannot_be_read_is_said(run, broken, content):
    (run / broken).write_bytes(content)
    page = _page(run)
    if content == b"\xff\xfe\x00":
        assert f"{broken} could not be read" in page.text


def test_there_must_be_a_run(tmp_path):
    with pytest.raises(UlnaError, match="no such run"):
        write_report(tmp_path / "none")


def _scored(run: Path, groups: int) -> dict[str, Any]:
    """The run's scores with so many groups."""
    rng = np.random.default_rng(1)
    truth = rng.integers(2, size=(12, 1, 9, 9))
    mask = np.where(rng.random(truth.shape) < rng.random((12, 1, 1, 1)) / 2, 1 - truth, truth)
    scored = [
        Scored.of(measure(m, t, CLASSES), name=f"case{k}", group=f"group {k % groups}")
        for k, (m, t) in enumerate(zip(mask, truth, strict=True))
    ]
    summary = summarize(scored)
    words = {"classes": CLASSES, "notes": [], "left_out": summary.left_out(), **summary.as_json()}
    (run / "scores/metrics.json").write_text(json.dumps(words))
    return words["overall"]["dice"]


def test_with_few_groups_their_means_stand_in_the_place_of_intervals(run):
    dice = _scored(run, 3)
    text = " ".join(_page(run).text.split())
    means = " · ".join(f"{value:.3f}" for value in dice["mean_of_groups"].values())
    assert f"mean Dice of images held out, of each group {means}" in text
    assert "With fewer than 5 groups no confidence interval can be given" in text
    assert "95 % confidence intervals are" not in text
    assert f"Mean Dice of each group: group 0 {dice['mean_of_groups']['group 0']:.3f}" in text


def test_intervals_and_pooled_scores_are_told(run):
    dice = _scored(run, 6)
    text = " ".join(_page(run).text.split())
    low, high = dice["mean_interval"]
    assert f"mean Dice of images held out, 95 % confidence interval {low:.3f}–{high:.3f}" in text
    low, high = dice["pooled_interval"]
    assert f"(pooled), Dice is {dice['pooled']:.3f} ({low:.3f}–{high:.3f})." in text
    assert "so that each group counts once, Dice is 0." in text
    assert "Means over the images; in the last column" in text
    low, high = dice["median_interval"]
    assert f"{dice['median']:.3f}{low:.3f}–{high:.3f}" in text.replace(" ", "")


def test_other_measures_than_dice_are_shown(run):
    scored = [
        Scored.of([Row("nuclei", "pq", k, 12), Row("nuclei", "tp", k, unit="objects")], name=f"case{k}", group=f"{k}")
        for k in range(1, 9)
    ]
    (run / "scores/metrics.json").write_text(json.dumps(summarize(scored).as_json()))
    write_table(run / "scores/scores.csv", [row for one in scored for row in one.rows])
    page = _page(run)
    assert "mean PQ of images held out" in page.text
    assert "PQ of every image, one dot each" in page.text
    assert len(page.all("circle")) == 8
    assert "PQ, median" in page.text
    assert "Dice, median" not in page.text
    assert "Loss, PQ on the validation images" in page.text


def test_counts_of_objects_come_first(run):
    words = json.loads((run / "scores/metrics.json").read_text())
    counts = {"true": 1234, "found": 1200, "split": 1, "merged": 3, "missed": 30, "false positive": 2}
    (run / "scores/metrics.json").write_text(json.dumps(words | {"objects": {"counts": counts, "sentences": []}}))
    text = " ".join(_page(run).text.split())
    assert "1,200 of 1,234" in text
    assert "objects found; 1 split, 3 merged, 30 missed, 2 false positives" in text


def test_one_group_alone_is_said(run):
    words = json.loads((run / "scores/metrics.json").read_text())
    (run / "scores/metrics.json").write_text(json.dumps(words | {"groups": 1}))
    assert "12 images in 1 group were held out of the training" in _page(run).text
    assert "For one group no interval can be given" in _page(run).text


def test_one_image_is_no_plural(run):
    words = json.loads((run / "scores/metrics.json").read_text())
    (run / "scores/metrics.json").write_text(json.dumps(words | {"cases": 1, "groups": 1}))
    text = _page(run).text
    assert "1 image in 1 group was held out of the training" in text
    assert "image scored, in 1 group" in text
    assert "1 images" not in text


def test_a_training_that_was_too_short_is_said_where_the_curves_are(run):
    words = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(words | {"length": "The training was short.", "afterwards": 10.79}))
    text = _page(run).text
    assert text.index("The training was short.") < text.index("The scores")
    assert text.count("The training was short.") == 1
    assert "10.79" not in text  # the estimate of the scoring's time is for --resume


def test_what_was_joined_is_pictured(run):
    assert "joined to one group by their pixels" not in _page(run).text
    shutil.copy(run / "samples.png", run / "joined.png")
    assert "joined to one group by their pixels" in _page(run).text


def test_what_the_scored_images_had_a_say_in_is_said() -> None:
    fitted = {"fitted": {"task.decoding.seed": 0.4}, "weights": "last"}
    assert chose(fitted).startswith("These images also chose the constants that turn outputs into objects, so")
    assert chose({"weights": "best"}).startswith("These images also chose the best epoch, so")
    assert chose({"weights": "last"}) == ""
    assert "the images held out. seed 0.4" in page._fitted(fitted | {"fitted_on": "held out"})[0]
    assert "none were held out" in page._fitted(fitted | {"fitted_on": "trained on"})[0]
    assert page._fitted({}) == []
    pieces = {"fitted": {"task.largest_component": ["liver", "spleen"]}, "weights": "last"}
    assert chose(pieces).startswith("These images also chose the classes that are kept in one piece, so")
    assert page._fitted(pieces)[0].startswith("Of liver, spleen only the largest component is kept: true ones are one")


def test_the_words_of_whole_pages(run, golden):
    """Of two runs: all text, what pictures show in words, and where dots stand."""
    parts = []
    more = {
        "asked": "x", "state": "finished", "length": "The training was short.", "afterwards": 10.79, "stops": [1, 2],
        "fitted": {"task.decoding.seeds": 0.4}, "weights": "last", "gpu": True,
    }  # fmt: skip
    for groups in (6, 3):
        _scored(run, groups)
        page = _page(run)
        text = "\n".join(words for line in page.text.splitlines() if (words := " ".join(line.split())))
        dots = [f"{dot['cx']} {dot['cy']}" for dot in page.all("circle")]
        parts += [text, *(str(image["alt"]) for image in page.all("img")), ", ".join(dots), ""]
        words = json.loads((run / "run.json").read_text())
        (run / "run.json").write_text(json.dumps(words | more))
        (run / "validation.txt").write_text("c\n")
        (run / "metrics.csv").write_text("epoch,val_dice\n1,\n")
    text = re.sub(r"(?<=ulna )\d+\.\d+\S*", "…", "\n".join(parts))
    golden.check_text("reports", text)

"""Scores: how well a mask fits the truth, and how sure one can be of it."""

from ulna.metrics.confused import Confusion
from ulna.metrics.errors import Errors, locate
from ulna.metrics.intervals import Interval, Sums, mean_interval, median_interval
from ulna.metrics.overlap import Overlap, confusion, measure, overlap, records
from ulna.metrics.rows import ALL_CLASSES, Primary, Row, label, of_case
from ulna.metrics.scored import Scored
from ulna.metrics.summary import Spread, Summary, number, summarize

__all__ = [
    "ALL_CLASSES",
    "Confusion",
    "Errors",
    "Interval",
    "Overlap",
    "Primary",
    "Row",
    "Scored",
    "Spread",
    "Summary",
    "Sums",
    "confusion",
    "label",
    "locate",
    "mean_interval",
    "measure",
    "median_interval",
    "number",
    "of_case",
    "overlap",
    "records",
    "summarize",
]

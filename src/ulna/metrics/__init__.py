"""Scores: how well a mask fits the truth, and how sure one can be of it."""

from ulna.metrics.errors import Errors, locate
from ulna.metrics.intervals import Interval, bootstrap, mean, median
from ulna.metrics.overlap import SCORES, Overlap, confusion, measure, overlap, pixel_accuracy, records
from ulna.metrics.rows import ALL_CLASSES, Row, of_case
from ulna.metrics.summary import Scored, Summary, number, summarize

__all__ = [
    "ALL_CLASSES",
    "SCORES",
    "Errors",
    "Interval",
    "Overlap",
    "Row",
    "Scored",
    "Summary",
    "bootstrap",
    "confusion",
    "locate",
    "mean",
    "measure",
    "median",
    "number",
    "of_case",
    "overlap",
    "pixel_accuracy",
    "records",
    "summarize",
]

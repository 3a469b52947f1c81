"""Scores: how well a mask fits the truth, and how sure one can be of it."""

from ulna.metrics.errors import Errors, locate
from ulna.metrics.intervals import Interval, bootstrap, mean, median
from ulna.metrics.overlap import SCORES, Overlap, confusion, overlap, pixel_accuracy, records
from ulna.metrics.summary import Scored, Summary, number, summarize

__all__ = [
    "SCORES",
    "Errors",
    "Interval",
    "Overlap",
    "Scored",
    "Summary",
    "bootstrap",
    "confusion",
    "locate",
    "mean",
    "median",
    "number",
    "overlap",
    "pixel_accuracy",
    "records",
    "summarize",
]

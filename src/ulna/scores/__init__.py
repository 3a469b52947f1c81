"""Scores: how well a mask fits the truth, and how sure one can be of it."""

from ulna.scores.errors import Errors, locate
from ulna.scores.intervals import Interval, bootstrap, mean, median
from ulna.scores.overlap import SCORES, Overlap, confusion, overlap, pixel_accuracy, records
from ulna.scores.summary import Scored, Summary, number, summarise

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
    "summarise",
]

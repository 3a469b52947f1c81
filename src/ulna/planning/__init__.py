"""The plan: what the configuration leaves open is decided from the data, the time and the machine."""

from ulna.planning.decisions import Decision
from ulna.planning.dimensions import dimensions
from ulna.planning.fingerprint import Fingerprint
from ulna.planning.plan import FALLBACK_EPOCHS, Plan, plan
from ulna.planning.sizes import SHORT_WIDTHS
from ulna.planning.spacing import spacings

__all__ = ["FALLBACK_EPOCHS", "SHORT_WIDTHS", "Decision", "Fingerprint", "Plan", "dimensions", "plan", "spacings"]

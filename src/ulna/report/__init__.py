"""The report of a run: one page, `report.html`, that needs nothing but itself.

`page` puts it together from what lies in the run's folder; `scores`, `gallery`, `origin` and `methods` are its parts;
`page.html.j2`, `page.css` and `page.js` are how it looks.
"""

from ulna.report.page import NAME, write_report
from ulna.report.scores import chose

__all__ = ["NAME", "chose", "write_report"]

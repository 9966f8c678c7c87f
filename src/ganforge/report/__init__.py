"""One HTML page about one run or several: it needs no network, and can be mailed and printed.

    report.write([Path("runs/cdcgan")], Path("report.html"))

Everything is inside the file: pictures and charts as data addresses, and all numbers again as JSON.
If a part of a run is missing (it still runs, it diverged, its data are gone), the page says so in
that part's place.
"""

from ganforge.report.function import report
from ganforge.report.page import Page, read, render, write

__all__ = ["Page", "read", "render", "report", "write"]

"""One HTML page about one run or several: looked at with no network, sent in a mail, printed.

    report.write([Path("runs/cdcgan")], Path("report.html"))

Everything is inside the file: pictures as data URIs, curves as SVG, and all figures once more as
JSON. What a run lacks (it still runs, it diverged, its data are gone) is said in its place.
"""

from ganforge.report.page import Page, read, render, write

__all__ = ["Page", "read", "render", "write"]

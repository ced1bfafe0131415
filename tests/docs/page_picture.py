"""The picture of the page: `python -m tests.docs.page_picture ADDRESS` makes it anew.

The address is that of a running `pyupc demo`: its prices and its market are simulated.
"""

from __future__ import annotations

import sys
from io import BytesIO

from PIL import Image

from tests.docs.pictures import IMAGES
from tests.support.market import until
from tests.web.browser import browsing, visiting

SIZE = {"width": 1360, "height": 900}


def taken(address: str) -> bytes:
    with browsing() as browser, visiting(browser, address, viewport=SIZE) as visit:
        until(lambda: visit.freshness() == "fresh")
        until(lambda: visit.page.is_visible("#course canvas"))
        # Fonts and drawings are there, and the next tick has come.
        visit.page.wait_for_timeout(2000)
        return bytes(visit.page.screenshot())


def main() -> None:
    picture = Image.open(BytesIO(taken(sys.argv[1]))).convert("RGB")
    # A palette is a third of the bytes; this one keeps the few greens.
    small = picture.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    small.save(IMAGES / "page.png", optimize=True)


if __name__ == "__main__":
    main()

"""Parts of the page: its looks, its tables, and figures that follow light and dark."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

from pyupc.analysis.plots.style import INK, LINE, MUTED, PAPER, SERIES

# On dark paper, in the order of SERIES.
_DARK_SERIES = (
    *("#58a6ff", "#ff9f5a", "#56d364", "#bc8cff"),
    *("#e3b341", "#ff7b72", "#39c5cf", "#9aa4ae"),
)

_NAMES = {
    INK: "--ink",
    MUTED: "--muted",
    LINE: "--line",
    PAPER: "--paper",
    **{colour: f"--series-{number}" for number, colour in enumerate(SERIES)},
}

_LIGHT = {name: colour for colour, name in _NAMES.items()} | {"--best": "#dafbe1"}
_DARK = {
    "--ink": "#e6edf3",
    "--muted": "#9198a1",
    "--line": "#30363d",
    "--paper": "#0d1117",
    "--best": "#12361f",
    **{f"--series-{number}": colour for number, colour in enumerate(_DARK_SERIES)},
}


def _variables(colours: dict[str, str]) -> str:
    return " ".join(f"{name}: {colour};" for name, colour in colours.items())


CSS = f""":root {{ {_variables(_LIGHT)} color-scheme: light dark; }}
@media (prefers-color-scheme: dark) {{ :root {{ {_variables(_DARK)} }} }}
* {{ box-sizing: border-box; }}
body {{ margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }}
main {{ max-width: 66rem; margin: 0 auto; padding: 1rem 1rem 4rem; }}
h1 {{ font-size: clamp(1.2rem, 1rem + 1.6vw, 1.7rem); line-height: 1.3; margin: 1rem 0; }}
h2 {{ font-size: 1.15rem; margin: 2.2rem 0 0.5rem; }}
p {{ margin: 0.5rem 0; }}
.reason {{ font-size: 1.05rem; }}
.whole {{ white-space: nowrap; }}
.scroll {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-size: 0.85rem; font-variant-numeric: tabular-nums; }}
th, td {{ padding: 0.3rem 0.6rem; text-align: right; border-bottom: 1px solid var(--line);
  white-space: nowrap; }}
thead th {{ color: var(--muted); font-weight: 600; vertical-align: bottom; white-space: normal; }}
.left {{ text-align: left; }}
.best {{ font-weight: 700; background: var(--best); }}
.scroll .left:first-child {{ position: sticky; left: 0; background: var(--paper); }}
.scroll .best .left:first-child {{ background: var(--best); }}
.settings th, .settings td {{ text-align: left; white-space: normal; vertical-align: top; }}
.settings th {{ color: var(--muted); font-weight: 600; }}
.figures {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr));
  gap: 1.5rem; align-items: start; margin-top: 2rem; }}
figure {{ margin: 0; }}
figure svg {{ display: block; width: 100%; height: auto; max-width: 34rem; }}
figure svg * {{ stroke-linejoin: round; stroke-linecap: butt; }}
figcaption {{ color: var(--muted); font-size: 0.85rem; }}
details {{ margin-top: 0.5rem; }}
summary {{ cursor: pointer; color: var(--muted); }}
dt {{ font-weight: 600; }}
dd {{ margin: 0 0 0.6rem; }}
@media print {{ .scroll {{ overflow: visible; }} }}
"""


def cell(text: str, is_best: bool = False) -> tuple[str, bool]:
    return text, is_best


def table(
    head: Sequence[str],
    rows: Sequence[Sequence[tuple[str, bool]]],
    *,
    left: int = 1,
    best: int | None = None,
) -> str:
    """A table whose first `left` columns are flush left; `best` is the row that stands out."""
    titles = "".join(
        f'<th scope="col"{_class("left" if place < left else "")}>{escape(title)}</th>'
        for place, title in enumerate(head)
    )
    lines = "".join(
        f"<tr{_class('best' if number == best else '')}>{_cells(row, left)}</tr>\n"
        for number, row in enumerate(rows)
    )
    return (
        f'<div class="scroll" tabindex="0">\n<table>\n<thead><tr>{titles}</tr></thead>\n'
        f"<tbody>\n{lines}</tbody>\n</table>\n</div>\n"
    )


def _cells(row: Sequence[tuple[str, bool]], left: int) -> str:
    first, *rest = row
    cells = [f'<th scope="row" class="left">{escape(first[0])}</th>']
    for place, (text, is_best) in enumerate(rest, start=1):
        name = "best" if is_best else "left" if place < left else ""
        cells.append(f"<td{_class(name)}>{escape(text)}</td>")
    return "".join(cells)


def _class(name: str) -> str:
    return f' class="{name}"' if name else ""


def inline_svg(svg: bytes, name: str, description: str) -> str:
    """The SVG as a part of a page: read as one image, in the page's colours, ids of its own."""
    text = svg.decode()
    text = text[text.index("<svg") :]
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'href="#', f'href="#{name}-', text)
    text = re.sub(r"url\(#", f"url(#{name}-", text)
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    # Its own rule would be one for the whole page.
    text = re.sub(r"<style[^>]*>.*?</style>", "", text, flags=re.DOTALL)
    for colour, variable in _NAMES.items():
        text = text.replace(colour, f"var({variable})")
    label = f'role="img" aria-label="{escape(description)}"'
    return re.sub(r"<svg ", f"<svg {label} ", text, count=1)

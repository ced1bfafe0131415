"""The drawings of docs: `python -m tests.docs.pictures` writes them.

They are plain SVG on a white ground, to be read in light and dark pages alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import log10
from pathlib import Path

IMAGES = Path(__file__).parents[2] / "docs" / "images"

INK, GREY, PALE = "#1b1f24", "#59636e", "#d1d9e0"
BLUE, GREEN, ORANGE = "#0b5cad", "#1a7f37", "#b35900"

# Percent, as analytics.btc_fingerprint_directional_baseline has them after `pyupc demo --seed 1`:
# 90 days of simulated candles.
THRESHOLDS = (
    *(0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5),
    *(0.6, 0.7, 0.8, 0.9, 1.0),
)
ROWS: dict[int, Sequence[float]] = {
    5: (
        *(50.00, 22.19, 10.09, 4.90, 2.57, 1.47, 0.88, 0.53, 0.32, 0.20, 0.14),
        *(0.07, 0.04, 0.03, 0.02, 0.01),
    ),
    15: (
        *(50.14, 33.75, 21.51, 13.79, 8.86, 5.73, 3.79, 2.58, 1.77, 1.23, 0.88),
        *(0.46, 0.26, 0.14, 0.07, 0.04),
    ),
    30: (
        *(49.88, 39.31, 29.78, 22.18, 16.46, 12.31, 9.12, 6.65, 4.74, 3.49, 2.52),
        *(1.42, 0.83, 0.53, 0.35, 0.21),
    ),
    60: (
        *(49.96, 42.96, 36.26, 30.18, 24.86, 20.16, 16.41, 13.39, 10.92, 8.86, 7.15),
        *(4.44, 2.77, 1.79, 1.15, 0.75),
    ),
}
SHADES = {5: "#8ec2f0", 15: "#4b94d8", 30: BLUE, 60: "#08305f"}

# CPU seconds by numbers of symbols: the table of docs/figures.md, from `pyupc bench scale`.
COSTS: dict[str, tuple[str, Sequence[tuple[int, float]]]] = {
    "an upgrade": (ORANGE, ((2, 1.580), (10, 1.616), (100, 1.642), (1000, 1.546))),
    "a refresh of one symbol": (BLUE, ((2, 0.210), (10, 0.180), (100, 0.197), (1000, 0.212))),
    "registration of a symbol": (GREEN, ((10, 0.0037), (100, 0.0031), (1000, 0.0034))),
}

# A row of the page's picture: the strike 100,250.
ASK, FEE, PROBABILITY, LOW, HIGH = 92.0, 0.6, 95.35, 93.52, 96.68


def text(
    x: float, y: float, words: str, *, anchor: str = "middle", color: str = INK, size: int = 14
) -> str:
    place = f'x="{x:g}" y="{y:g}" font-size="{size}" text-anchor="{anchor}" fill="{color}"'
    return f"<text {place}>{words}</text>"


def line(x1: float, y1: float, x2: float, y2: float, color: str = PALE, width: float = 1) -> str:
    place = f'x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}"'
    return f'<line {place} stroke="{color}" stroke-width="{width:g}"/>'


def drawing(width: int, height: int, title: str, parts: Iterable[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}"'
        f' height="{height}" font-family="system-ui, sans-serif" role="img">'
    )
    ground = f'<rect width="{width}" height="{height}" rx="6" fill="#ffffff"/>'
    return "\n".join([head, f"<title>{title}</title>", ground, *parts, "</svg>", ""])


def fingerprint() -> str:
    """Four rows of a fingerprint: threshold to the right, share of cases upward."""
    left, right, top, bottom = 70, 610, 30, 300

    def x(threshold: float) -> float:
        return left + (right - left) * threshold / 1.0

    def y(percent: float) -> float:
        return bottom - (bottom - top) * percent / 55

    parts = []
    for percent in range(0, 51, 10):
        parts.append(line(left, y(percent), right, y(percent)))
        parts.append(text(left - 10, y(percent) + 5, f"{percent} %", anchor="end", color=GREY))
    for tenth in range(0, 11, 2):
        parts.append(text(x(tenth / 10), bottom + 20, f"{tenth / 10:.1f} %", color=GREY))
    parts.append(text((left + right) / 2, bottom + 44, "at least this much higher", color=GREY))
    for minutes, shares in ROWS.items():
        points = " ".join(
            f"{x(threshold):.1f},{y(share):.1f}"
            for threshold, share in zip(THRESHOLDS, shares, strict=True)
        )
        style = f'fill="none" stroke="{SHADES[minutes]}" stroke-width="2.5"'
        parts.append(f'<polyline points="{points}" {style}/>')
    parts.append(f'<rect x="{right - 108}" y="{top - 16}" width="130" height="96" fill="#ffffff"/>')
    for place, (minutes, color) in enumerate(SHADES.items()):
        below = top + 22 * place
        parts.append(line(right - 100, below, right - 76, below, color, 2.5))
        parts.append(text(right - 68, below + 5, f"{minutes} minutes", anchor="start"))
    return drawing(640, 360, "Four rows of a fingerprint", parts)


def edge() -> str:
    """A contract's cost and value on one scale of cents and percent."""
    left, right, axis = 40, 600, 150
    least, most = 90, 98

    def x(cents: float) -> float:
        return left + (right - left) * (cents - least) / (most - least)

    paid = ASK + FEE
    parts = [line(left, axis, right, axis, GREY)]
    for cents in range(least, most + 1):
        parts.append(line(x(cents), axis, x(cents), axis + 6, GREY))
        parts.append(text(x(cents), axis + 24, str(cents), color=GREY))
    parts.append(text(right, axis + 46, "cents, percent", anchor="end", color=GREY))
    # From below: the price and the fee on it; above the axis the probability with its interval.
    parts += [
        line(x(ASK), 60, x(ASK), axis, ORANGE, 2.5),
        text(x(ASK), 48, "ask", color=ORANGE),
        text(x(ASK), 30, f"{ASK:g}", color=ORANGE),
        f'<rect x="{x(ASK):g}" y="118" width="{x(paid) - x(ASK):g}" height="32" fill="{ORANGE}"'
        ' fill-opacity="0.3"/>',
        text(x(paid) + 2, 112, f"fee {FEE:g}", color=ORANGE, anchor="start"),
        f'<rect x="{x(paid):g}" y="124" width="{x(PROBABILITY) - x(paid):g}" height="20"'
        f' fill="{GREEN}" fill-opacity="0.25"/>',
        text((x(paid) + x(PROBABILITY)) / 2, 139, f"edge {PROBABILITY - paid:.2f}", color=GREEN),
        line(x(LOW), 76, x(HIGH), 76, BLUE, 2.5),
        line(x(LOW), 70, x(LOW), 82, BLUE, 2.5),
        line(x(HIGH), 70, x(HIGH), 82, BLUE, 2.5),
        line(x(PROBABILITY), 76, x(PROBABILITY), axis, BLUE, 1),
        f'<circle cx="{x(PROBABILITY):g}" cy="76" r="6" fill="{BLUE}"/>',
        text(x(PROBABILITY), 48, "probability, 95 % interval", color=BLUE),
        text(x(PROBABILITY), 30, f"{PROBABILITY:g}", color=BLUE),
    ]
    return drawing(640, 210, "An edge", parts)


def scale() -> str:
    """Costs by the number of symbols, both on scales of powers of ten."""
    left, right, top, bottom = 80, 420, 30, 300
    fewest, most = 2, 1000
    least, highest = 0.001, 10.0

    def x(symbols: float) -> float:
        return left + (right - left) * log10(symbols / fewest) / log10(most / fewest)

    def y(seconds: float) -> float:
        return bottom - (bottom - top) * log10(seconds / least) / log10(highest / least)

    parts = []
    for seconds, words in (
        (0.001, "1 ms"),
        (0.01, "10 ms"),
        (0.1, "100 ms"),
        (1, "1 s"),
        (10, "10 s"),
    ):
        parts.append(line(left, y(seconds), right, y(seconds)))
        parts.append(text(left - 10, y(seconds) + 5, words, anchor="end", color=GREY))
    for symbols in (2, 10, 100, 1000):
        parts.append(text(x(symbols), bottom + 20, f"{symbols:,}", color=GREY))
    parts.append(text((left + right) / 2, bottom + 44, "symbols", color=GREY))
    for words, (color, costs) in COSTS.items():
        points = " ".join(f"{x(symbols):.1f},{y(seconds):.1f}" for symbols, seconds in costs)
        style = f'fill="none" stroke="{color}" stroke-width="2.5"'
        parts.append(f'<polyline points="{points}" {style}/>')
        parts += [
            f'<circle cx="{x(symbols):.1f}" cy="{y(seconds):.1f}" r="4" fill="{color}"/>'
            for symbols, seconds in costs
        ]
        parts.append(text(right + 12, y(costs[-1][1]) + 5, words, anchor="start", color=color))
    return drawing(640, 360, "Costs by the number of symbols", parts)


PICTURES = {"fingerprint.svg": fingerprint, "edge.svg": edge, "scale.svg": scale}


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    for name, draw in PICTURES.items():
        (IMAGES / name).write_text(draw(), "utf-8")


if __name__ == "__main__":
    main()

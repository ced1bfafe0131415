"""Reference scores of a backtest, question by question, in numpy."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from tests.support import brute_force, volatility_reference
from tests.support.brute_force import BASELINE, Curves
from tests.support.engine import Candles
from tests.support.volatility_reference import LONG, Fit, Floats

PLAIN = np.arange(60) / 20
# Of the last minute's variance, what the mean of 60 values a second apart has.
OPEN = 61 * 121 / 21600

Shares = dict[tuple[int, int], float]  # of a bucket's own numbers, by bucket and minutes
Key = tuple[str, str, int, str, int]  # model, dimension, part, day, bin
Scores = dict[Key, Floats]


@dataclass(frozen=True)
class Settings:
    """Instants are minutes since 1970."""

    train_from: int
    train_to: int
    test_from: int
    test_to: int
    models: tuple[str, ...]
    minutes: tuple[int, ...]
    step: float
    levels: int
    settlement: str
    close_minute: int
    kind: str = "above"

    @property
    def is_average(self) -> bool:
        return self.settlement == "average"

    @property
    def share(self) -> float:
        return OPEN if self.is_average else 1.0


@dataclass(frozen=True)
class Trained:
    """`regimes`: quartiles of an hour's volatility, percent."""

    plain: Curves
    standardised: Curves
    plain_shares: Shares
    standardised_shares: Shares
    fit: Fit | None
    regimes: Floats


@dataclass(frozen=True)
class Question:
    closes: int
    minutes: int
    price: float
    settled: float
    bucket: int
    ewma: float
    deviation: float
    variance: float
    earlier: float
    price_to_beat: float


def inside(candles: Candles, settings: Settings) -> Candles:
    return candles.where(
        (candles.minutes >= settings.train_from) & (candles.minutes < settings.train_to)
    )


def train(
    candles: Candles, settings: Settings, plain_shares: Shares, standardised_shares: Shares
) -> Trained:
    known = inside(candles, settings)
    year = int(brute_force.years_of(np.array([settings.train_to - 1]))[0])
    columns = volatility_reference.of(known)
    fitted = None
    standardised: Curves = {}
    if any(model.startswith("volatility") for model in settings.models):
        fitted = volatility_reference.fit(*columns)
        assert fitted is not None
        counts = volatility_reference.histogram(*columns, fitted)
        for (day, bucket, minutes), cell in volatility_reference.long_histogram(
            *columns, fitted
        ).items():
            key = int(brute_force.years_of(np.array([1440 * day]))[0]), bucket, minutes
            counts[key] = brute_force.added(counts[key], cell) if key in counts else cell
        standardised = brute_force.curves(counts, year)
    plain = brute_force.curves(brute_force.histogram(known.minutes, known.closes), year)
    moves = np.log(known.closes[1:] / known.closes[:-1]) ** 2
    hours = known.minutes[1:] // 60
    deviations = [100 * math.sqrt(moves[hours == hour].sum()) for hour in np.unique(hours)]
    return Trained(
        plain,
        standardised,
        plain_shares,
        standardised_shares,
        fitted,
        np.quantile(deviations, [0.25, 0.5, 0.75]),
    )


def questions(candles: Candles, settings: Settings, fitted: Fit | None) -> Iterator[Question]:
    place = {at: number for number, at in enumerate(candles.minutes.tolist())}
    buckets = brute_force.bucket_of(brute_force.momentum(candles.minutes, candles.closes))
    squared = {
        at: math.log(candles.closes[number] / candles.closes[place[at - 1]]) ** 2
        for at, number in place.items()
        if at - 1 in place
    }
    interval = 15 if settings.kind == "updown" else 60
    first = settings.test_from + (settings.close_minute - settings.test_from) % interval
    for closes in range(first, settings.test_to, interval):
        if closes - 1 < settings.train_to:
            continue
        price_to_beat = math.nan
        if settings.kind == "updown":
            if closes - 16 not in place:
                continue
            price_to_beat = average(candles, place[closes - 16])
        for minutes in settings.minutes:
            asked = closes - minutes
            if asked - 1 not in place or closes - 1 not in place:
                continue
            here, there = place[asked - 1], place[closes - 1]
            hour = [squared[at] for at in range(asked - 60, asked) if at in squared]
            if not hour:
                continue
            # Two UTC days at the most: what is older weighs nothing.
            since = ((asked - 1) // 1440 - 1) * 1440
            recent = [at for at in range(since, asked) if at in squared]
            weights = [2 ** ((at - asked) / 60) for at in recent]
            variances = None
            if fitted is not None:
                variances = volatility_reference.variances(
                    fitted, *volatility_reference.of(candles), asked
                )
                if variances is None:
                    continue
            settled = (
                average(candles, there) if settings.is_average else float(candles.closes[there])
            )
            yield Question(
                closes,
                minutes,
                float(candles.closes[here]),
                settled,
                int(buckets[here]) if buckets[here] <= 30 else BASELINE,
                sum(squared[at] * w for at, w in zip(recent, weights, strict=True)) / sum(weights),
                100 * math.sqrt(sum(hour)),
                math.nan if variances is None else variance_until(variances, minutes),
                0.0 if variances is None else variance_until(variances, minutes - 1),
                price_to_beat,
            )


def variance_until(variances: Floats, minutes: int) -> float:
    """In straight lines between the times that are forecast."""
    known = np.array([*range(61), *LONG])[: 1 + len(variances)]
    return float(np.interp(minutes, known, np.append(0, variances)))


def average(candles: Candles, place: int) -> float:
    """The stand-in for the average of a candle's minute: 1.11 (h + l) / 2 - 0.05 c - 0.06 o."""
    opens, highs, lows, closes = (
        Fraction(repr(float(column[place])))
        for column in (candles.opens, candles.highs, candles.lows, candles.closes)
    )
    return float((111 * (highs + lows) / 2 - 5 * closes - 6 * opens) / 100)


def contracts(settings: Settings, asked: Question) -> Iterator[tuple[float, float, int]]:
    """Bounds, 0 and infinity where there is none, and distance, of all that is asked about."""
    levels, step = settings.levels, settings.step
    if settings.kind == "updown":
        yield asked.price_to_beat, math.inf, 0
    elif settings.kind == "range":
        first = math.floor(asked.price / step)
        for level in range(-levels - 1, levels + 2):
            if first + level >= 0:
                yield (
                    0.0 if level < -levels else (first + level) * step,
                    math.inf if level > levels else (first + level + 1) * step,
                    abs(level),
                )
    else:
        middle = float(np.rint(asked.price / step))
        for level in range(-levels, levels + 1):
            if middle + level > 0:
                yield (middle + level) * step, math.inf, abs(level)


def curve_of(trained: Trained, model: str, bucket: int, minutes: int) -> tuple[Floats, Floats]:
    """Both sides of one model's curve at whole minutes."""
    is_plain = model != "volatility"
    curves = trained.plain if is_plain else trained.standardised
    shares = trained.plain_shares if is_plain else trained.standardised_shares
    there = [known for known, distance in curves if distance == minutes and known != BASELINE]
    if model == "baseline":
        bucket = BASELINE
    elif bucket != BASELINE and bucket not in there:
        nearest = min(there, key=lambda known: (abs(known - bucket), abs(known)), default=BASELINE)
        bucket = nearest if is_plain else BASELINE
    own, base = curves[bucket, minutes], curves[BASELINE, minutes]
    is_whole = model in ("baseline", "momentum") or bucket == BASELINE
    share = 1.0 if is_whole else shares[bucket, minutes]
    return (
        base.positive + share * (own.positive - base.positive),
        base.negative + share * (own.negative - base.negative),
    )


def probability(
    trained: Trained, settings: Settings, model: str, asked: Question, lower: float, upper: float
) -> float:
    # In percent, as curves are: a probability that is on the edge of a bin stays on its side.
    whole = 1.0 if model == "gaussian" else 100.0
    above = whole if lower == 0 else above_strike(trained, settings, model, asked, lower)
    beyond = 0.0 if upper == math.inf else above_strike(trained, settings, model, asked, upper)
    return (above - beyond) * (1.0 if model == "gaussian" else 0.01)


def above_strike(
    trained: Trained, settings: Settings, model: str, asked: Question, strike: float
) -> float:
    """Percent; of the Gaussian from 0 to 1."""
    if model == "gaussian":
        variance = max(asked.ewma, 1e-14) * (asked.minutes - 1 + settings.share)
        return 0.5 * math.erfc(math.log(strike / asked.price) / math.sqrt(2 * variance))
    kind, method = model.split(":")
    is_linear, is_plain = method == "linear", kind != "volatility"
    until = asked.minutes - 1 + settings.share
    move = abs(asked.price - strike) / asked.price
    if is_plain:
        move *= 100
        if is_linear and until < 1:
            move /= math.sqrt(until)
    else:
        move /= math.sqrt(asked.earlier + settings.share * (asked.variance - asked.earlier))
    if until > 60:
        sides = long_curve(trained, asked.bucket, until, is_linear)
    elif is_linear:
        low = max(1, math.floor(until))
        part = max(0.0, until - low)
        sides = curve_of(trained, kind, asked.bucket, low)
        if part > 0:
            other = curve_of(trained, kind, asked.bucket, low + 1)
            sides = tuple(a + part * (b - a) for a, b in zip(sides, other, strict=True))  # type: ignore[assignment]
    else:
        sides = curve_of(trained, kind, asked.bucket, max(1, math.ceil(until - 0.5)))
    up, down = (side.copy() for side in sides)
    if is_linear or not is_plain or settings.kind != "above":
        up[0] = (up[0] + 100 - down[0]) / 2
        down[0] = 100 - up[0]
    side = up if strike > asked.price else down
    thresholds = PLAIN if is_plain else volatility_reference.THRESHOLDS
    if is_linear:
        percent = float(np.interp(move, thresholds, side))
    else:
        edges = (thresholds[1:] + thresholds[:-1]) / 2 + (1e-9 if is_plain else 0)
        percent = float(side[np.searchsorted(edges, move, side="right")])
    return percent if strike > asked.price else 100 - percent


def long_curve(
    trained: Trained, bucket: int, until: float, is_linear: bool
) -> tuple[Floats, Floats]:
    """Between those of 60 minutes, of the bucket, and of the longer times, of all minutes."""
    listed = [60, *LONG]
    place = float(np.interp(until, listed, np.arange(len(listed))))
    share = place % 1 if is_linear else float(place % 1 > 0.5)
    near, far = listed[int(place)], listed[min(len(LONG), int(place) + 1)]
    if not share:
        far = near
    one, other = (
        curve_of(trained, "volatility", bucket if minutes == 60 else BASELINE, minutes)
        for minutes in (near, far)
    )
    return (
        one[0] + share * (other[0] - one[0]),
        one[1] + share * (other[1] - one[1]),
    )


def scores(candles: Candles, settings: Settings, trained: Trained) -> Scores:
    """Questions, outcomes, probability, its square, squared error and log loss: their sums."""
    sums: Scores = defaultdict(lambda: np.zeros(6))
    for asked in questions(candles, settings, trained.fit):
        day = str(np.datetime64(asked.closes, "m").astype("datetime64[D]"))
        hour = asked.closes // 60 % 24
        regime = 1 + int(np.searchsorted(trained.regimes, asked.deviation, side="right"))
        for lower, upper, distance in contracts(settings, asked):
            outcome = float(lower <= asked.settled < upper)
            for model in settings.models:
                p = probability(trained, settings, model, asked, lower, upper)
                clipped = min(0.9999, max(0.0001, p if outcome else 1 - p))
                row = np.array([1, outcome, p, p**2, (p - outcome) ** 2, -math.log(clipped)])
                bin_of = max(0, min(19, math.floor(20 * p)))
                for dimension, part in (
                    ("all", 0),
                    ("minutes", asked.minutes),
                    ("distance", distance),
                    ("hour", hour),
                    ("regime", regime),
                ):
                    sums[model, dimension, part, day, bin_of] += row
                if 0.002 <= p <= 0.998:
                    tenth = math.floor(5 + 5 * math.log(p / (1 - p)) / math.log(499))
                    sums[model, "odds", max(0, min(9, tenth)), day, 0] += row
    return dict(sums)

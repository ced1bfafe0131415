"""Metrics for Prometheus: seconds, ratios from 0 to 1, counts."""

from __future__ import annotations

import json
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

from pyupc import __version__

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_LIGHTS = ("green", "yellow", "red")
_WINDOWS = ("minute", "hour", "day")


class Metrics:
    """A registry of its own: two servers in one process do not count for each other."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._requests = Counter(
            "pyupc_http_requests",
            "Requests that were answered, by path and status.",
            ("path", "status"),
            registry=registry,
        )
        self._seconds = Histogram(
            "pyupc_http_request_duration_seconds",
            "From the request to the end of its answer; streams are left out.",
            ("path",),
            registry=registry,
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
        )
        self._delay = Histogram(
            "pyupc_tick_delivery_delay_seconds",
            "From the beginning of a tick to its going out to the readers.",
            registry=registry,
            buckets=(0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
        )
        self._readers = Gauge("pyupc_stream_readers", "Streams that are open.", registry=registry)
        build = Gauge("pyupc_build_info", "The version that runs.", ("version",), registry=registry)
        build.labels(__version__).set(1)
        self._of_status = {
            name: Gauge(f"pyupc_{name}", text, labels, registry=registry)
            for name, text, labels in (
                ("status", "1 for the light that is on, 0 for the others.", ("light",)),
                ("symbol_status", "The same for a symbol.", ("symbol", "light")),
                ("tick_age_seconds", "Since the last tick.", ("symbol",)),
                ("price_age_seconds", "Since the price was seen.", ("symbol",)),
                ("quote_age_seconds", "Since the quotes were read.", ("symbol",)),
                ("candle_age_seconds", "Since the newest candle closed.", ("symbol",)),
                ("open_trades", "Trades that are held.", ("symbol",)),
                (
                    "availability_ratio",
                    "Ticks that were done of those that were due, live feeds only.",
                    ("symbol", "window"),
                ),
            )
        }

    def answered(self, path: str, status: int, seconds: float | None) -> None:
        self._requests.labels(path, str(status)).inc()
        if seconds is not None:
            self._seconds.labels(path).observe(seconds)

    def ticked(self, delay: float) -> None:
        self._delay.observe(delay)

    def text(self, status: str | None, readers: int) -> bytes:
        """All metrics; the database's only while its status is known."""
        self._readers.set(readers)
        for gauge in self._of_status.values():
            gauge.clear()
        if status is not None:
            self._read(json.loads(status))
        return generate_latest(self.registry)

    def _read(self, status: dict[str, Any]) -> None:
        gauges = self._of_status
        for light in _LIGHTS:
            gauges["status"].labels(light).set(status["state"] == light)
        for row in status["symbols"]:
            symbol = row["symbol"]
            for light in _LIGHTS:
                gauges["symbol_status"].labels(symbol, light).set(row["light"] == light)
            for name in ("tick", "price", "quote", "candle"):
                if (age := row[f"{name}_age_seconds"]) is not None:
                    gauges[f"{name}_age_seconds"].labels(symbol).set(age)
            gauges["open_trades"].labels(symbol).set(row["open_trades"])
            for window in _WINDOWS:
                if (percent := row[f"{window}_availability"]) is not None:
                    gauges["availability_ratio"].labels(symbol, window).set(percent / 100)

"""`pyupc serve` as a process of its own, and what tests ask it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.support.market import going


@dataclass(frozen=True)
class Served:
    address: str
    process: subprocess.Popen[str]

    def get(self, path: str, **arguments: Any) -> httpx.Response:
        return httpx.get(self.address + path, timeout=20, **arguments)

    def document(self, path: str) -> dict[str, Any]:
        response = self.get(path)
        assert response.status_code == 200, response.text
        found: dict[str, Any] = response.json()
        return found

    def problem(self, path: str, status: int, **arguments: Any) -> dict[str, Any]:
        """The problem of an answer, in the form of RFC 9457."""
        response = self.get(path, **arguments)
        assert response.status_code == status, response.text
        assert response.headers["content-type"] == "application/problem+json"
        found: dict[str, Any] = response.json()
        assert found["status"] == status
        return found


@contextmanager
def serving(dsn: str, *arguments: str | Path, port: int = 0) -> Iterator[Served]:
    """The server, once it listens; killed at the end unless it has ended by then."""
    with going(dsn, "serve", "--port", str(port), *arguments) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("serving http://"), process.communicate(timeout=10)
        yield Served(line.split()[1].rstrip("/"), process)


@dataclass(frozen=True)
class Event:
    name: str
    data: dict[str, Any]
    id: str | None


def events(response: httpx.Response) -> Iterator[Event]:
    """The events of a stream as they come in."""
    fields: dict[str, str] = {}
    for line in response.iter_lines():
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif "data" in fields:
            yield Event(fields["event"], json.loads(fields["data"]), fields.get("id"))
            fields = {}

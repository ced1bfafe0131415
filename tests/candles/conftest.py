from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.candles.coinbase import Coinbase


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Coinbase]:
    with Coinbase() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        monkeypatch.setenv("PYUPC_EXCHANGE_URL", server.url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield server
        server.gate.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def dsn(fresh_db: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PYUPC_DSN", fresh_db)
    return fresh_db

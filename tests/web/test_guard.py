"""Access control: host names, other pages, tokens, rates."""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from pyupc.database.connect import connect
from pyupc.errors import PyupcError
from pyupc.web.database import reading
from pyupc.web.guard import cookie_of
from tests.support.market import pyupc
from tests.web.serving import Served, serving

TOKEN = "correct-horse-battery-staple"


@pytest.fixture(scope="module")
def locked(market_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with a token, that also goes by a name, and lets few requests in."""
    file = tmp_path_factory.mktemp("secret") / "token"
    file.write_text(f"{TOKEN}\n")
    arguments = ("--token-file", file, "--name", "Desk.example", "--rate", "10000")
    with serving(market_dsn, *arguments) as found:
        yield found


def authority(served: Served) -> str:
    return urlsplit(served.address).netloc


# Names


@pytest.mark.parametrize("host", ["localhost", "localhost:1", "127.0.0.1:99", "[::1]:8765"])
def test_its_own_names(served: Served, host: str) -> None:
    assert served.get("/live", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "10.0.0.1"),
        *("", "localhost:x", "user@localhost", "[::1", "desk.example", "localhost/x"),
    ],
)
def test_other_names_are_refused(served: Served, host: str) -> None:
    """A page that has its own name point here would read along otherwise."""
    for path in ("/live", "/", "/api/symbols", "/openapi.json", "/static/app.css"):
        served.problem(path, 421, headers={"Host": host})


def test_a_name_that_was_given(locked: Served) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    for name in ("desk.example", "DESK.example:443"):
        assert locked.get("/api/symbols", headers={"Host": name, **headers}).status_code == 200


def test_other_pages_are_refused(served: Served) -> None:
    ours = {"Origin": served.address}
    assert served.get("/api/symbols", headers=ours).status_code == 200
    for origin in (
        "http://evil.example",
        "null",
        "http://localhost:1",
        "https://127.0.0.1",
        "http://[",
        "x",
    ):
        served.problem("/api/symbols", 403, headers={"Origin": origin})
        served.problem("/api/stream/BTC", 403, headers={"Origin": origin})


def test_pictures_and_scripts_of_other_pages_are_refused(served: Served) -> None:
    """They carry no origin, and would make it work all the same."""
    for site in ("cross-site", "same-site"):
        for mode in ("no-cors", "cors", "navigate"):
            headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode}
            served.problem("/api/strikes?price=97250", 403, headers=headers)
        # A link to the page is one.
        assert served.get("/", headers=headers).status_code == 200
    headers = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}
    assert served.get("/api/symbols", headers=headers).status_code == 200


def test_no_other_page_may_read(served: Served) -> None:
    headers = served.get("/api/symbols", headers={"Origin": served.address}).headers
    assert not [name for name in headers if name.startswith("access-control")]
    assert headers["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.parametrize("path", ["/", "/login", "/api/symbols", "/nothing", "/static/app.css"])
def test_every_answer_is_careful(served: Served, path: str) -> None:
    headers = served.get(path).headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["connect-src"] == policy["form-action"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert "unsafe-eval" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert "server" not in headers


# The token


@pytest.mark.parametrize(
    "path",
    [
        *("/api/symbols", "/api/price/BTC", "/api/stream/BTC", "/api/strikes?price=1"),
        *("/metrics", "/ready", "/openapi.json", "/nothing", "//static/app.css", "/login/x"),
    ],
)
@pytest.mark.parametrize(
    "given",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": f"Bearer {TOKEN[:-1]}"},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": "Bearer \xff"},
        {"Cookie": f"{cookie_of(TOKEN)[0]}={TOKEN}"},
        {"Cookie": f"{cookie_of(TOKEN)[0]}="},
        {"Cookie": f"other={cookie_of(TOKEN)[1]}"},
    ],
)
def test_without_the_token_nothing_is_disclosed(
    locked: Served, path: str, given: dict[str, str]
) -> None:
    headers = {name: value.encode("latin-1") for name, value in given.items()}
    locked.problem(path, 401, headers=headers)


def test_what_needs_no_token(locked: Served) -> None:
    for path in ("/live", "/login", "/static/app.css"):
        assert locked.get(path).status_code == 200
    challenge = locked.get("/api/symbols").headers["www-authenticate"]
    assert challenge.startswith("Bearer")


def test_a_browser_asks_once(locked: Served) -> None:
    with httpx.Client(base_url=locked.address, follow_redirects=False) as browser:
        first = browser.get("/?symbol=ETH", headers={"Accept": "text/html,*/*"})
        assert first.status_code == 303
        form = first.headers["location"]
        assert form.startswith("/login?next=")
        assert "password" in browser.get(form).text
        wrong = browser.post(form, data={"token": "wrong"})
        assert "failed" in wrong.headers["location"]
        assert "set-cookie" not in wrong.headers
        right = browser.post(form, data={"token": f" {TOKEN} "})
        assert right.headers["location"] == "/?symbol=ETH"
        cookie = right.headers["set-cookie"]
        assert TOKEN not in cookie
        assert "httponly" in cookie.lower()
        assert "samesite=lax" in cookie.lower()
        assert int(cookie.lower().partition("max-age=")[2].partition(";")[0]) > 3600
        assert browser.get("/").status_code == 200
        assert browser.get("/api/symbols").status_code == 200


@pytest.mark.parametrize(
    "other", ['prefs={"a":1}', "x=a b c", "foo[bar]=1", "token", ";", "=", "a=b=c", "caf\xe9=1"]
)
def test_odd_cookies_of_others_lock_nobody_out(locked: Served, other: str) -> None:
    name, value = cookie_of(TOKEN)
    for line in (f"{other}; {name}={value}", f"{name}={value}; {other}"):
        headers = {"Cookie": line.encode("latin-1")}
        assert locked.get("/api/symbols", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "target", ["//evil.example", "/\\evil.example", "http://evil.example", "evil", "/\n/x"]
)
def test_the_form_leads_nowhere_else(locked: Served, target: str) -> None:
    done = httpx.post(
        f"{locked.address}/login", params={"next": target}, data={"token": TOKEN}, timeout=20
    )
    assert (done.status_code, done.headers["location"]) == (303, "/")


def test_a_form_that_is_too_long(locked: Served) -> None:
    done = httpx.post(f"{locked.address}/login", content=b"token=" + b"x" * 10_000, timeout=20)
    assert done.status_code == 413


# Rates


def test_too_many_requests(market_dsn: str) -> None:
    with serving(market_dsn, "--rate", "3") as served, httpx.Client() as client:
        codes = [client.get(f"{served.address}/live").status_code for _ in range(40)]
        assert set(codes) == {200, 429}
        assert codes[:25] == [200] * 25
        problem = served.problem("/live", 429)
        assert "--rate" in problem["hint"]
        assert int(served.get("/live").headers["retry-after"]) > 0
        # The header of a client is not trusted.
        for number in range(5):
            headers = {"X-Forwarded-For": f"192.0.2.{number}"}
            # On a slow machine a request may be allowed again, but not so many as a new client's.
            codes = [
                client.get(f"{served.address}/live", headers=headers).status_code for _ in range(20)
            ]
            assert 429 in codes


def test_behind_a_proxy_its_clients_are_distinguished(market_dsn: str) -> None:
    arguments = ("--rate", "1", "--behind-proxy", "127.0.0.1")
    with serving(market_dsn, *arguments) as served, httpx.Client() as client:
        for number in range(30):
            headers = {"X-Forwarded-For": f"192.0.2.{number}"}
            assert client.get(f"{served.address}/live", headers=headers).status_code == 200
        headers = {"X-Forwarded-For": "192.0.2.200"}
        codes = {
            client.get(f"{served.address}/live", headers=headers).status_code for _ in range(20)
        }
        assert codes == {200, 429}


def test_what_is_no_name_and_no_address(market_dsn: str) -> None:
    for option, value in (
        ("--name", "http://desk:80/"),
        ("--name", "desk:80"),
        ("--behind-proxy", "desk"),
        ("--behind-proxy", "*"),
    ):
        done = pyupc(market_dsn, "serve", option, value)
        assert (done.returncode, done.stdout) == (2, "")


# Invalid requests


def without_end(connection: socket.socket) -> None:
    """A head that has always another line."""
    connection.sendall(b"GET /live HTTP/1.1\r\nHost: localhost\r\n")
    for number in range(100_000):
        connection.sendall(f"X-{number}: {'x' * 1000}\r\n".encode())


def test_a_head_without_end_is_cut_off(served: Served) -> None:
    parts = urlsplit(served.address)
    address = (str(parts.hostname), parts.port or 0)
    with (
        socket.create_connection(address, timeout=20) as endless,
        pytest.raises(ConnectionError),
    ):
        without_end(endless)
    assert served.get("/live").status_code == 200


@pytest.mark.slow
def test_who_does_not_come_to_the_point_is_let_go(served: Served) -> None:
    parts = urlsplit(served.address)
    with socket.create_connection((str(parts.hostname), parts.port or 0), timeout=20) as slow:
        began = time.monotonic()
        slow.sendall(b"GET /live HTTP/1.1\r\nHost: localhost\r\n")
        assert slow.recv(1000) == b""
        assert 5 < time.monotonic() - began < 15


# Listening


def test_beyond_this_machine_it_takes_a_token(market_dsn: str) -> None:
    for host in ("0.0.0.0", "::", "192.0.2.1", "desk.example"):
        done = pyupc(market_dsn, "serve", "--host", host)
        assert (done.returncode, done.stdout) == (2, "")
        assert "--token-file" in done.stderr


def test_on_all_addresses_it_goes_by_each(market_dsn: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)
    arguments = ("--host", "0.0.0.0", "--token-file", tmp_path / "token")
    with serving(market_dsn, *arguments) as served:
        parts = urlsplit(served.address)
        assert parts.hostname == socket.gethostname().lower()
        local = Served(f"http://127.0.0.1:{parts.port}", served.process)
        for host in (parts.netloc, "192.0.2.1", "[2001:db8::1]:80", "localhost"):
            local.problem("/api/symbols", 401, headers={"Host": host})
        for host in ("evil.example", "192.0.2.1.evil.example"):
            local.problem("/api/symbols", 421, headers={"Host": host})


def test_it_listens_on_this_machine_only(served: Served) -> None:
    assert urlsplit(served.address).hostname == "127.0.0.1"


@pytest.mark.parametrize("text", ["", "short", "two words in one file", "tökentökentöken"])
def test_what_is_no_token(market_dsn: str, tmp_path: Path, text: str) -> None:
    file = tmp_path / "token"
    file.write_text(text)
    done = pyupc(market_dsn, "serve", "--token-file", file)
    assert (done.returncode, done.stdout) == (1, "")
    assert not text or text not in done.stderr.replace(str(file), "")
    assert "hint:" in done.stderr


def test_no_secret_is_logged(market_dsn: str, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN)
    with serving(market_dsn, "--token-file", file, "--port", "0") as served:
        served.get("/api/symbols", headers={"Authorization": f"Bearer {TOKEN}"})
        served.get(f"/api/symbols?token={TOKEN}")
        httpx.post(f"{served.address}/login", data={"token": TOKEN}, timeout=20)
        served.process.terminate()
        stdout, stderr = served.process.communicate(timeout=20)
    assert TOKEN not in stdout + stderr
    assert "password" not in stderr


# The role


@pytest.fixture
def stranger(market_dsn: str) -> Iterator[tuple[str, str]]:
    """A role that may log in, and its DSN; skips where the server lets no other role in."""
    name, password = f"upc_test_{secrets.token_hex(4)}", secrets.token_hex(8)
    dsn = make_conninfo(market_dsn, user=name, password=password)
    with connect(market_dsn) as owner:
        owner.execute(
            sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(
                sql.Identifier(name), sql.Literal(password)
            )
        )
        try:
            with connect(dsn):
                pass
        except PyupcError:
            pytest.skip("the server lets no other role in")
        else:
            yield name, dsn
        finally:
            owner.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def test_whoever_may_only_read_can_serve(market_dsn: str, stranger: tuple[str, str]) -> None:
    name, dsn = stranger
    refused = pyupc(dsn, "serve", "--port", "0")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert f"GRANT upc_reader TO {name}" in refused.stderr
    with connect(market_dsn) as owner:
        owner.execute(sql.SQL("GRANT upc_reader TO {}").format(sql.Identifier(name)))
        owner.execute("SELECT FROM upc.tick('BTC', 'simulated')")
    with serving(dsn) as served:
        assert served.document("/api/symbols")["symbols"][0]["symbol"] == "BTC"
        for path in ("live_probabilities", "price", "ttc", "momentum", "calibration"):
            served.document(f"/api/{path}/BTC")
        for path in ("fingerprints/BTC/7", "fingerprints", "active_trades", "strikes?price=9e4"):
            served.document(f"/api/{path}")
        assert served.get("/ready").status_code == 503
        with httpx.stream("GET", f"{served.address}/api/stream/BTC", timeout=20) as stream:
            assert any("tick_id" in line for line in stream.iter_lines())


def test_the_owner_reads_as_the_reader(served: Served, market_dsn: str) -> None:
    """No session of the server can write, whichever role the DSN names."""
    served.document("/api/symbols")
    with connect(market_dsn) as conn:
        sessions = conn.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE application_name = 'pyupc serve' AND datname = current_database()"
        ).fetchone()
        assert sessions is not None
        assert sessions[0] >= 1
    with psycopg.connect(reading(market_dsn), autocommit=True) as session:
        found = session.execute(
            "SELECT current_user::text, current_setting('transaction_read_only')"
        ).fetchone()
        assert found == ("upc_reader", "on")
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            session.execute("DELETE FROM upc_data.candle")
        session.execute("SET default_transaction_read_only = off")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            session.execute("DELETE FROM upc_data.candle")
        with pytest.raises(psycopg.errors.QueryCanceled):
            session.execute("SET statement_timeout = 50; SELECT pg_sleep(5)")

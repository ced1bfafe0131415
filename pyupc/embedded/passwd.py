"""Entry of /etc/passwd for initdb, which refuses a user without one, as with `docker run --user`.

The server itself needs none. nss_wrapper, a library that many images have, provides one.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from pyupc.embedded.account import Account
from pyupc.errors import DatabaseUnreachable

_NAME = "pyupc"
_PLACES = ("/usr/lib/*-linux-gnu*", "/usr/lib64", "/usr/lib", "/usr/local/lib")


@contextmanager
def passwd_entry(folder: Path, account: Account | None) -> Iterator[Mapping[str, str]]:
    """Environment in which initdb finds its user; its temporary files are in `folder`."""
    uid, gid = (account.uid, account.gid) if account else (os.geteuid(), os.getegid())
    with suppress(KeyError):
        pwd.getpwuid(uid)
        yield {}
        return
    library = _nss_wrapper()
    if library is None:
        raise DatabaseUnreachable(
            f"user id {uid} has no entry in /etc/passwd, which initdb of PostgreSQL wants",
            "add one (useradd), install libnss-wrapper, or run pyupc as a user with an entry",
        )
    texts = {
        "passwd": f"{_NAME}:x:{uid}:{gid}::{folder}:/bin/false\n",
        "group": f"{_NAME}:x:{gid}:\n",
    }
    files = {name: folder / f"initdb.{name}" for name in texts}
    try:
        for name, path in files.items():
            path.write_text(texts[name], encoding="utf-8")
            # They hold no secrets, and the server's account has to read them.
            path.chmod(0o644)
        yield {
            "LD_PRELOAD": str(library),
            "NSS_WRAPPER_PASSWD": str(files["passwd"]),
            "NSS_WRAPPER_GROUP": str(files["group"]),
        }
    finally:
        for path in files.values():
            path.unlink(missing_ok=True)


def _nss_wrapper() -> Path | None:
    for place in _PLACES:
        for folder in sorted(Path("/").glob(place.lstrip("/"))):
            library = folder / "libnss_wrapper.so"
            if library.is_file():
                return library
    return None

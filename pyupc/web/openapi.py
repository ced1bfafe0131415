"""What OpenAPI says of an answer: its shape, an example, and the problems that may come instead."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

from pydantic import BaseModel

from pyupc.web.problems import MEDIA_TYPE
from pyupc.web.schemas import ProblemDetails

Responses = dict[int | str, dict[str, Any]]

_PROBLEMS = {
    401: "The token is missing or wrong.",
    403: "The request comes from another page.",
    404: "There is no such symbol, or nothing to tell of it.",
    409: "It cannot be answered as things are: no forecast, or the last minute was not seen.",
    421: "The server does not go by the name that it was asked for by.",
    422: "An argument is not what it has to be.",
    429: "Too many requests.",
    503: "There is no database, or it takes too long.",
}

_HEADERS = {
    401: {"WWW-Authenticate": "how the token is sent"},
    429: {"Retry-After": "seconds"},
    503: {"Retry-After": "seconds"},
}

ALWAYS = (401, 403, 421, 422, 429, 503)


@cache
def examples() -> dict[str, Any]:
    """Real answers, by the names of their shapes."""
    return dict(json.loads((files("pyupc.web") / "examples.json").read_text("utf-8")))


def answers(shape: type[BaseModel], description: str, *problems: int) -> Responses:
    """The documented answers of an operation beside those that every one has."""
    example = examples()[shape.__name__]
    return {
        200: {
            "model": shape,
            "description": description,
            "content": {"application/json": {"example": example}},
        },
        **{status: a_problem(status) for status in problems},
    }


_TAG = {"ETag": {"description": "names what is told", "schema": {"type": "string"}}}
NOT_MODIFIED: Responses = {304: {"description": "It is what If-None-Match names.", "headers": _TAG}}


def a_problem(status: int) -> dict[str, Any]:
    headers = {
        name: {"description": text, "schema": {"type": "string"}}
        for name, text in _HEADERS.get(status, {}).items()
    }
    return {
        "headers": headers,
        "description": _PROBLEMS[status],
        "content": {
            MEDIA_TYPE: {
                "schema": {"$ref": f"#/components/schemas/{ProblemDetails.__name__}"},
                "example": {**examples()["ProblemDetails"], "status": status},
            }
        },
    }


def always() -> Responses:
    return {status: a_problem(status) for status in ALWAYS}

"""OpenAPI entries of an answer: shape, example, and the problems that may replace it."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

from pydantic import BaseModel

from pyupc.web.problems import MEDIA_TYPE
from pyupc.web.schemas import ProblemDetails, StrikeRow

Responses = dict[int | str, dict[str, Any]]

_PROBLEMS = {
    401: "The token is missing or wrong.",
    403: "The request comes from another page.",
    404: "No such symbol, or no data for it.",
    409: "No answer is possible now: no forecast, or the last minute was not seen.",
    421: "The server does not have the name in the request's Host header.",
    422: "Invalid argument.",
    429: "Too many requests.",
    503: "No database, or it takes too long.",
}

_HEADERS = {
    401: {"WWW-Authenticate": "how the token is sent"},
    429: {"Retry-After": "seconds"},
    503: {"Retry-After": "seconds"},
}

ALWAYS = (401, 403, 421, 422, 429, 503)


@cache
def examples() -> dict[str, Any]:
    """Real answers, by the names of their shapes; null for a strike's key that came later."""
    found = dict(json.loads((files("pyupc.web") / "examples.json").read_text("utf-8")))
    later = dict.fromkeys(StrikeRow.model_fields)
    found["StrikeTable"]["strikes"] = [{**later, **row} for row in found["StrikeTable"]["strikes"]]
    return found


def responses_of(shape: type[BaseModel], description: str, *problems: int) -> Responses:
    """Documented answers of an operation, beside those that every operation has."""
    example = examples()[shape.__name__]
    return {
        200: {
            "model": shape,
            "description": description,
            "content": {"application/json": {"example": example}},
        },
        **{status: a_problem(status) for status in problems},
    }


_TAG = {"ETag": {"description": "names the content", "schema": {"type": "string"}}}
NOT_MODIFIED: Responses = {
    304: {"description": "Unchanged since the answer that If-None-Match names.", "headers": _TAG}
}


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

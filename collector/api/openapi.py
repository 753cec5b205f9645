"""The OpenAPI document, made from the table of routes and the types of their answers."""

from __future__ import annotations

import http
import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from collector.access.identity import ANONYMOUS
from collector.access.roles import GRANTS, Right
from collector.api.answers import JSON
from collector.api.parameters import Parameter
from collector.api.problems import MEDIA_TYPE as PROBLEM_TYPE
from collector.api.problems import Problem
from collector.api.routes import Route

Document = dict[str, Any]
PATH = "/openapi.json"
GATE: Final = (401, 403, 429, 503)  # nobody knows who asks, they may not, too often, the issuer does not answer
_IN_PATH: Final = re.compile(r"{(\w+)}")


def document(routes: Sequence[Route], version: str) -> Document:
    """Return the description of `routes`."""
    types: list[type[msgspec.Struct]] = [route.answer for route in routes if route.answer] + [Problem]
    types += [route.takes for route in routes if route.takes]
    schemas, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    by_type = dict(zip(types, schemas, strict=True))
    paths: Document = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, by_type)
    own = {
        "summary": "this document",
        "operationId": "get_openapi",
        "responses": {"200": {"description": "OpenAPI 3.1", "content": {JSON: {}}}},
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "gpuledger collector",
            "version": version,
            "description": "Takes batches of GPU usage and answers who used which GPU, for what, and at what cost.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {**paths, PATH: {"get": own}},
        "components": {
            "schemas": components,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "a token of the collector, or of the OIDC issuer that it is told of",
                }
            },
        },
    }


def _operation(route: Route, schemas: dict[type[msgspec.Struct], Document]) -> Document:
    name = route.path.removeprefix("/v1").strip("/").replace("/", "_").translate({ord("{"): None, ord("}"): None})
    answers = {
        media_type: {"schema": schemas[route.answer]} if route.answer and media_type == JSON else {}
        for media_type in route.media_types
    }
    found: Document = {
        "summary": route.means,
        "operationId": f"{route.method.lower()}_{name}",
        "responses": {
            "200": {"description": "done", "content": answers},
            **{str(status): _refusal(status, schemas[Problem]) for status in _refusals(route)},
        },
        "security": _security(route.needs),
    }
    in_path = [_path_parameter(name) for name in _IN_PATH.findall(route.path)]
    if route.parameters or in_path:
        found["parameters"] = [*in_path, *(_parameter(parameter) for parameter in route.parameters)]
    if route.body_types:
        taken = {"schema": schemas[route.takes]} if route.takes else {}
        found["requestBody"] = {"required": True, "content": dict.fromkeys(route.body_types, taken)}
    return found


def _refusals(route: Route) -> list[int]:
    """Return the statuses of a route's refusals, those of the gate before it among them."""
    return sorted({*route.refusals, *(() if route.needs is Right.NOTHING else GATE)})


def _security(needs: Right) -> list[dict[str, list[str]]]:
    """Return who may ask: with a token; without one only at the machine itself, and only to read."""
    if needs is Right.NOTHING:
        return []
    token: dict[str, list[str]] = {"token": []}
    return [token, {}] if needs in GRANTS[ANONYMOUS.role] else [token]


def _parameter(parameter: Parameter) -> Document:
    schema: Document = {"type": "string"}
    if parameter.choices:
        schema["enum"] = list(parameter.choices)
    if parameter.default:
        schema["default"] = parameter.default
    return {
        "name": parameter.name,
        "in": "query",
        "description": parameter.means,
        "required": parameter.default is None,
        "schema": schema,
    }


def _path_parameter(name: str) -> Document:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "integer", "minimum": 1}}


def _refusal(status: int, schema: Document) -> Document:
    answer: Document = {
        "description": http.HTTPStatus(status).phrase,
        "content": {PROBLEM_TYPE: {"schema": schema}},
    }
    if status in (429, 503):
        answer["headers"] = {"Retry-After": {"description": "seconds", "schema": {"type": "integer"}}}
    return answer

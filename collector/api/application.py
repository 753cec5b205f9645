"""The ASGI application: the table of routes, and every error as a problem document."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from importlib.metadata import version

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as HttpRoute

from collector.access.gate import Asked, Handler
from collector.api.answers import JSON
from collector.api.openapi import PATH, document
from collector.api.problems import on_fault, on_http_error, on_ledger_error
from collector.api.routes import Route, routes
from collector.api.safe_headers import SafeHeaders
from collector.api.services import Services
from gpuledger.errors import GpuLedgerError

Lifespan = Callable[[Starlette], AbstractAsyncContextManager[None]]


def build(services: Services, lifespan: Lifespan) -> Starlette:
    """Return the application; `lifespan` starts and stops what works behind it."""
    table = list(routes())
    described = msgspec.json.format(msgspec.json.encode(document(table, version("gpuledger"))))

    async def openapi(_request: Request) -> Response:
        return Response(described, media_type=JSON)

    def guarded(route: Route) -> Handler:
        return services.gate.guard(Asked(route.method, route.path, route.needs), route.make(services))

    return Starlette(
        routes=[
            *(HttpRoute(each.path, guarded(each), methods=[each.method]) for each in table),
            HttpRoute(PATH, openapi, methods=["GET"]),
        ],
        exception_handlers={
            GpuLedgerError: on_ledger_error,
            HTTPException: on_http_error,
            Exception: on_fault,
        },
        middleware=[Middleware(SafeHeaders)],
        lifespan=lifespan,
    )

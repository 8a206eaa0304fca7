"""A server that answers every request alike, after the milliseconds that its path names.

granian --interface asgi bench.reference_server:app
"""

from __future__ import annotations

import asyncio

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

BODY = (
    b'{"root":{"id":"toplevel","relevance":1.0,"fields":{"totalCount":3},"coverage":'
    b'{"coverage":100,"documents":5,"full":true,"nodes":1,"results":1,"resultsFull":1}}}'
)


async def answer(request: Request) -> Response:
    await asyncio.sleep(int(request.path_params["milliseconds"]) / 1000)
    return Response(BODY, media_type="application/json")


app = Starlette(routes=[Route("/{milliseconds:int}", answer)])

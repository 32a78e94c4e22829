"""Errors of our services as JSON: `{"error": "<one sentence>"}`."""

from collections.abc import Awaitable, Callable

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def json_error(status: int, sentence: str) -> web.Response:
    return web.json_response({"error": sentence}, status=status)


@web.middleware
async def json_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer an unknown path or method, which aiohttp refuses, in the same way."""
    try:
        answer = await handler(request)
        if request.content.exception() is not None:  # a body that could not be decoded
            request.content.feed_eof()  # else aiohttp reads on, fails and logs a traceback
            answer.force_close()
        return answer
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        refusal = json_error(405, f"{request.path} does not take {request.method}: use {allowed}")
        refusal.headers["Allow"] = allowed
        return refusal
    except web.HTTPNotFound:
        return json_error(404, f"there is nothing at {request.path}")

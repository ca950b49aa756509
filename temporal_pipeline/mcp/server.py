"""The server: over stdio for one client, over HTTP on loopback for those who have the token."""

import hmac
import logging
import signal
import socket
from collections.abc import Callable

import anyio
import uvicorn
from mcp.server import Server, ServerRequestContext
from mcp.server.stdio import stdio_server
from mcp.server.transport_security import TransportSecuritySettings
from mcp.shared.exceptions import MCPError
from mcp.types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
)
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from temporal_pipeline import __version__
from temporal_pipeline.database import Database
from temporal_pipeline.errors import PipelineError
from temporal_pipeline.mcp.calls import Calls
from temporal_pipeline.mcp.tools import INSTRUCTIONS, QUESTIONS, Question, tools
from temporal_pipeline.query import Failure, Timeline

log = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
PATH = "/mcp"
# Clients keep a stream open for as long as they like.
GRACE_SECONDS = 3


def make_server(database: Database) -> Server:
    """The tools over a database, which need not be there yet: until it is, the answers say so."""
    timeline = Timeline(database)
    calls = Calls(database)
    questions: dict[str, Question] = {question.name: question for question in QUESTIONS}
    listed = ListToolsResult(tools=tools())

    async def list_tools(_: ServerRequestContext, __: PaginatedRequestParams | None) -> ListToolsResult:
        return listed

    async def call_tool(_: ServerRequestContext, asked: CallToolRequestParams) -> CallToolResult:
        question = questions.get(asked.name)
        if question is None:
            raise MCPError(
                INVALID_PARAMS, f"there is no tool {asked.name!r}; take one of {', '.join(questions)}"
            )
        try:
            answer = await calls.run(lambda: question.ask(timeline, asked.arguments or {}))
        except Exception as error:
            # Its first line; those after it carry statements and values.
            log.error("%s: %s: %s", asked.name, type(error).__name__, (str(error).splitlines() or [""])[0])
            raise MCPError(INTERNAL_ERROR, f"{type(error).__name__}, a mistake of the server's") from None
        return CallToolResult(
            content=[TextContent(type="text", text=answer.to_json())],
            structured_content=answer.to_dict(),
            is_error=isinstance(answer, Failure),
        )

    return Server(
        "temporal-pipeline",
        version=__version__,
        instructions=INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


def serve_stdio(database: Database) -> None:
    """Serve one client, whose end of input ends it; stdout is the protocol's, what others print goes to stderr."""
    server = make_server(database)

    async def serve() -> None:
        async with stdio_server() as (incoming, outgoing):
            await server.run(incoming, outgoing, server.create_initialization_options())

    # Else Ctrl-C would wait for the thread that reads the next line. There is nothing to finish.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    anyio.run(serve)


def serve_http(database: Database, port: int, token: str, ready: Callable[[str], None]) -> None:
    """Serve whoever knows the token, on this machine only, until a signal; `ready` is told the URL.

    Raises PipelineError (exit code 5) for a port that is taken.
    """
    try:
        listening = socket.create_server((LOOPBACK, port))
    except OSError as error:
        raise PipelineError(
            f"cannot listen on {LOOPBACK}:{port}: {error.strerror}", hint="take another --port", exit_code=5
        ) from None
    with listening:
        places = [f"{name}:{listening.getsockname()[1]}" for name in (LOOPBACK, "localhost")]
        app = make_server(database).streamable_http_app(
            streamable_http_path=PATH,
            # A page that made its own name point to this machine has a browser ask in that name.
            transport_security=TransportSecuritySettings(
                allowed_hosts=places, allowed_origins=[f"http://{place}" for place in places]
            ),
        )
        ready(f"http://{places[0]}{PATH}")
        # By default it would print what it serves on stdout.
        config = uvicorn.Config(
            TokenRequired(app, token),
            log_config=None,
            ws="none",
            access_log=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        uvicorn.Server(config).run(sockets=[listening])


class TokenRequired:
    """Lets through what carries the token; everything else is answered with 401."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or self._may_pass(scope):
            await self._app(scope, receive, send)
            return
        refusal = {"error": "the header Authorization: Bearer TOKEN is missing or wrong"}
        await JSONResponse(refusal, 401, {"WWW-Authenticate": "Bearer"})(scope, receive, send)

    def _may_pass(self, scope: Scope) -> bool:
        scheme, _, given = Headers(scope=scope).get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), self._token)

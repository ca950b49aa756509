"""The official client, to servers in processes of their own; called as if it were not asynchronous."""

import re
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from anyio.from_thread import BlockingPortal, start_blocking_portal
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp.types import CallToolResult

from temporal_pipeline.settings import PROJECT_ROOT
from tests.command_line import CommandLine

T = TypeVar("T")

TOKEN = "hush-this-token-is-nobodys-business"


SERVING = re.compile(r"serving (http\S+)\n")


def until(
    found: Callable[[], T | None], server: "subprocess.Popen[bytes] | None" = None, seconds: float = 20
) -> T:
    """What is found, as soon as it is. A server that ends meanwhile is a failure; raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if (what := found()) is not None:
            return what
        assert server is None or server.poll() is None, "the server ended"
        time.sleep(0.01)
    raise TimeoutError(f"not within {seconds} seconds")


@dataclass(frozen=True)
class Asking:
    """A connected client; `log`: what its server prints on stderr."""

    portal: BlockingPortal
    client: Client
    log: Path

    def begin(self, tool: str, **arguments: Any) -> "Future[CallToolResult]":
        """Call a tool; cancelling what comes back cancels the call."""
        return self.portal.start_task_soon(self.client.call_tool, tool, arguments)

    def __call__(self, tool: str, **arguments: Any) -> CallToolResult:
        return self.begin(tool, **arguments).result(timeout=30)

    def tools(self) -> list[dict[str, Any]]:
        """All tools, as they came over the wire."""
        listed = self.portal.call(self.client.list_tools)
        return [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in listed.tools]


@contextmanager
def over_stdio(command: CommandLine, log: Path, mode: str = "auto") -> Iterator[Asking]:
    """A server and its only client. `mode`: legacy shakes hands as all did before 2026."""
    program, *arguments = command.command("mcp", "serve")
    server = StdioServerParameters(
        command=program, args=arguments, env=command.variables, cwd=str(PROJECT_ROOT)
    )
    with (
        log.open("w") as errors,
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(Client(stdio_client(server, errors), mode=mode)) as client,
    ):
        yield Asking(portal, client, log)


@contextmanager
def http_server(command: CommandLine, log: Path) -> Iterator[str]:
    """A server for several clients; its URL."""
    with log.open("w") as errors:
        server = subprocess.Popen(
            command.command("mcp", "serve", "--http", "--port", "0"),
            env=command.variables | {"TEMPORAL_PIPELINE_MCP_TOKEN": TOKEN},
            cwd=PROJECT_ROOT,
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
        )
        try:
            yield until(lambda: SERVING.search(log.read_text()), server)[1]
        finally:
            server.terminate()
            try:
                server.wait(timeout=30)
            finally:
                server.kill()
                server.wait()


@contextmanager
def over_http(url: str, log: Path, mode: str = "auto") -> Iterator[Asking]:
    """A further client of a server."""

    @asynccontextmanager
    async def connected() -> AsyncIterator[Client]:
        async with (
            create_mcp_http_client(headers={"Authorization": f"Bearer {TOKEN}"}) as http,
            Client(streamable_http_client(url, http_client=http), mode=mode) as client,
        ):
            yield client

    with start_blocking_portal() as portal, portal.wrap_async_context_manager(connected()) as client:
        yield Asking(portal, client, log)

"""The two transports: what stdout carries, who may come in over HTTP, and what is refused at the start."""

import http.client
import json
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from mcp.types import INVALID_PARAMS

from temporal_pipeline.cli.mcp import DEFAULT_PORT
from temporal_pipeline.mcp.server import PATH
from temporal_pipeline.settings import PROJECT_ROOT
from tests.command_line import CommandLine
from tests.mcp.clients import TOKEN, Asking, over_http, over_stdio
from tests.mcp.conftest import PASSWORD
from tests.mcp.page import ANEW, CELL, PAGE, WHOM, executed
from tests.mcp.test_tools import EXAMPLE, answered, refused

INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "by hand", "version": "1"},
    },
}


def test_stdout_is_the_protocols_and_nonsense_ends_nothing(command: CommandLine) -> None:
    lines = [
        "this is no message",
        '{"jsonrpc": "2.0", "id": 0}',
        json.dumps(INITIALIZE),
        '{"jsonrpc": "2.0", "method": "notifications/initialized"}',
        '{"jsonrpc": "2.0", "id": 2, "method": "nothing/like/that"}',
        '{"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {"name": "drop_everything"}}',
        '{"jsonrpc": "2.0", "id": 4, "method": "tools/call", "params": {"name": 7}}',
        '{"jsonrpc": "2.0", "id": 5, "method": "tools/list"}',
    ]
    with by_hand(command) as server:
        told = conversation(server, lines, until=5)
        # What is still there when the client goes is of the protocol as well.
        rest, printed = server.communicate(timeout=30)
    assert all(json.loads(line) for line in rest.splitlines())
    assert server.returncode == 0, printed
    assert told[1]["result"]["serverInfo"]["name"] == "temporal-pipeline"
    assert "as_of" in told[1]["result"]["instructions"]
    assert {number for number in (2, 3, 4) if "error" in told[number]} == {2, 3, 4}
    assert told[3]["error"]["code"] == INVALID_PARAMS
    assert len(told[5]["result"]["tools"]) == 6


def test_an_interrupt_ends_it_though_the_client_is_silent(command: CommandLine) -> None:
    with by_hand(command) as server:
        conversation(server, [json.dumps(INITIALIZE)], until=1)
        server.send_signal(signal.SIGINT)
        assert server.wait(timeout=10) == -signal.SIGINT


def by_hand(command: CommandLine) -> "subprocess.Popen[str]":
    """A server over stdio, without a client."""
    return subprocess.Popen(
        command.command("mcp", "serve"),
        env=command.variables,
        cwd=PROJECT_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def conversation(server: "subprocess.Popen[str]", lines: list[str], until: int) -> dict[int, dict[str, Any]]:
    """Say the lines; every line that came back, up to the answer to message `until`."""
    assert server.stdin is not None
    assert server.stdout is not None
    for line in lines:
        server.stdin.write(line + "\n")
    server.stdin.flush()
    told: dict[int, dict[str, Any]] = {}
    while until not in told:
        message = json.loads(server.stdout.readline())
        told[message.get("id")] = message
    return told


def test_nobody_comes_in_without_the_token(place: tuple[str, Path]) -> None:
    for header in (None, "", TOKEN, f"Basic {TOKEN}", "Bearer", "Bearer ", f"Bearer {TOKEN}x", "Bearer é"):
        answer, body = ask(place[0], **({} if header is None else {"Authorization": header}))
        assert answer.status == 401, header
        assert answer.getheader("WWW-Authenticate") == "Bearer"
        assert "temporal-pipeline" not in body
    assert ask(place[0], "/", Authorization="Bearer x")[0].status == 401
    answer, body = ask(place[0], Authorization=f"bearer {TOKEN}")
    assert answer.status == 200
    assert "temporal-pipeline" in body


def test_a_name_that_was_made_to_point_here_is_refused(place: tuple[str, Path]) -> None:
    port = urlsplit(place[0]).port
    right = {"Authorization": f"Bearer {TOKEN}"}
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1:1", f"127.0.0.1.evil.example:{port}"):
        assert ask(place[0], **right, Host=host)[0].status == 421, host
    for origin in ("http://evil.example", f"http://localhost.evil.example:{port}", "null"):
        assert ask(place[0], **right, Origin=origin)[0].status == 403, origin
    for name in ("localhost", "127.0.0.1"):
        near = {"Host": f"{name}:{port}", "Origin": f"http://{name}:{port}"}
        assert ask(place[0], **right, **near)[0].status == 200


def test_it_listens_on_this_machine_alone(place: tuple[str, Path]) -> None:
    where = urlsplit(place[0])
    assert where.hostname == "127.0.0.1"
    with pytest.raises(OSError, match="refused|assign|unreachable"):
        socket.create_connection(("127.0.0.2", where.port or 0), timeout=5)


def ask(url: str, path: str = "", **headers: str) -> tuple[http.client.HTTPResponse, str]:
    """Shake hands by hand."""
    where = urlsplit(url)
    connection = http.client.HTTPConnection(str(where.hostname), where.port, timeout=30)
    usual = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    try:
        sent = {name: value.encode() for name, value in (usual | headers).items()}
        connection.request("POST", path or where.path, json.dumps(INITIALIZE), sent)
        answer = connection.getresponse()
        return answer, answer.read().decode()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("token", "reason"), [("", "is not set"), ("guessed", "is too short, or has characters that no header")]
)
def test_without_a_good_token_it_does_not_start(tmp_path: Path, token: str, reason: str) -> None:
    done = CommandLine(tmp_path)("mcp", "serve", "--http", TEMPORAL_PIPELINE_MCP_TOKEN=token)
    assert done.returncode == 2
    assert reason in done.stderr
    assert "secrets.token_urlsafe()" in done.stderr
    assert not token or token not in done.stderr
    assert done.stdout == ""


def test_a_port_that_is_taken(command: CommandLine, place: tuple[str, Path]) -> None:
    port = str(urlsplit(place[0]).port)
    done = command("mcp", "serve", "--http", "--port", port, TEMPORAL_PIPELINE_MCP_TOKEN=TOKEN)
    assert done.returncode == 5
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr


def test_without_the_extra_it_says_what_to_install(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['mcp'] = None; sys.argv[1:] = ['mcp', 'serve']\n"
        "from temporal_pipeline.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=CommandLine(tmp_path).variables,
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "pip install --editable '.[mcp]'" in done.stderr
    assert done.stdout == ""


def test_who_does_not_serve_needs_none_of_it() -> None:
    program = (
        "import sys, temporal_pipeline.query, temporal_pipeline.cli\n"
        "print(sorted(name for name in sys.modules if name.partition('.')[0] in ('mcp', 'uvicorn', 'starlette')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_server_without_its_database_says_so_and_tells_no_secret(tmp_path: Path) -> None:
    nowhere = CommandLine(tmp_path, DATABASE_URL=f"postgresql://me:{PASSWORD}@127.0.0.1:1/x")
    with over_stdio(nowhere, tmp_path / "log") as asking:
        error = refused(asking("search_events", **WHOM))
    assert error["code"] == "database_unavailable"
    assert PASSWORD not in json.dumps(error) + (tmp_path / "log").read_text()


def test_a_client_that_goes_lets_others_stay(place: tuple[str, Path], http: Asking) -> None:
    with over_http(*place) as other:
        answered(other("get_unresolved_events", **WHOM))
    answered(http("get_unresolved_events", **WHOM))


def test_the_page_shows_what_its_lines_print(command: CommandLine) -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert CELL.search(page)
    assert executed(page, command) == page, ANEW
    by_stdio, by_http = (
        json.loads(block) for block in re.findall(r"```json\n(.*?)```", page, flags=re.DOTALL)
    )
    assert by_stdio["mcpServers"]["timeline"]["args"] == ["mcp", "serve"]
    assert f":{DEFAULT_PORT}{PATH}" in by_http["mcpServers"]["timeline"]["url"]
    assert [name for name in EXAMPLE if f"`{name}`" not in page] == []

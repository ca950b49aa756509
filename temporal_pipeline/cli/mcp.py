"""`mcp`: the questions as tools for language models."""

import click

from temporal_pipeline.cli.output import Output
from temporal_pipeline.database import Database
from temporal_pipeline.errors import PipelineError
from temporal_pipeline.settings import Settings

DEFAULT_PORT = 3010
# What cannot be guessed; 16 random letters and digits have 95 bits.
SHORTEST_TOKEN = 16


@click.group()
def mcp() -> None:
    """Let language models ask the timeline, over the Model Context Protocol. Only reads."""


@mcp.command()
@click.option("--http", is_flag=True, help="Serve HTTP on 127.0.0.1 instead of stdin and stdout.")
@click.option(
    "--port", type=click.IntRange(0, 65535), help=f"Of --http; 0 takes a free one.  [default: {DEFAULT_PORT}]"
)
@click.pass_obj
def serve(output: Output, http: bool, port: int | None) -> None:
    """Serve the tools until the client goes (stdio) or until Ctrl-C (--http).

    Who asks over HTTP has to give the token of TEMPORAL_PIPELINE_MCP_TOKEN (environment, else .env).
    """
    if port is not None and not http:
        raise click.UsageError("--port goes with --http")
    token = _token() if http else ""
    try:
        from temporal_pipeline.mcp.server import serve_http, serve_stdio  # noqa: PLC0415 - an extra, and a second
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "mcp":
            raise
        raise PipelineError(
            "the package mcp is not installed",
            hint="run `pip install --editable '.[mcp]'` in the project's folder",
            exit_code=2,
        ) from None
    database = Database.from_environment()
    try:
        if http:
            address = DEFAULT_PORT if port is None else port
            serve_http(database, address, token, lambda url: output.progress.print(f"serving {url}"))
        else:
            serve_stdio(database)
    finally:
        database.dispose()


def _token() -> str:
    """Raises PipelineError (exit code 2) when there is none, or one that could be guessed or not be sent."""
    secret = Settings().mcp_token
    token = "" if secret is None else secret.get_secret_value()
    if len(token) >= SHORTEST_TOKEN and token.isascii() and token.isprintable() and " " not in token:
        return token
    reason = "is too short, or has characters that no header can carry" if token else "is not set"
    raise PipelineError(
        f"TEMPORAL_PIPELINE_MCP_TOKEN {reason}",
        hint="set it to what `python -c 'import secrets; print(secrets.token_urlsafe())'` prints",
        exit_code=2,
    )

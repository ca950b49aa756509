"""`exec`: any program, with the databases at hand."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import click
from sqlalchemy import make_url

from temporal_pipeline.cli.output import Output
from temporal_pipeline.dagster_home import ensure_dagster_database, environment
from temporal_pipeline.database import Database
from temporal_pipeline.embedded import attach
from temporal_pipeline.errors import PipelineError
from temporal_pipeline.settings import Settings

# What a terminal sends to its whole foreground group reaches the program by itself.
LEFT_TO_THE_PROGRAM = (signal.SIGINT, signal.SIGQUIT)
PASSED_ON = (signal.SIGTERM, signal.SIGHUP)


@click.command("exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.pass_obj
def exec_(output: Output, command: tuple[str, ...]) -> None:
    """Run any program beside the database: `temporal-pipeline exec -- psql`, `… -- dagster dev`.

    It finds DATABASE_URL (which psql understands as well), libpq's PGHOST and the like, DAGSTER_HOME and
    DAGSTER_DATABASE_URL in its environment, psql and pg_dump in PATH, and the embedded server running until
    it ends. The exit code is that of the program.
    """
    home = Settings().home
    attachment = attach(home) if Settings().database_url is None else None
    database = Database(attachment.url(), attachment) if attachment else Database.from_environment()
    try:
        with database.transaction(read_only=True):
            pass
        variables = (
            os.environ | _libpq_variables(database) | environment(database, _dagster_url(output, database))
        )
        variables["PATH"] = _search_path(attachment.bin if attachment else None)
        database.engine.dispose()
        code = _run(command, variables, [attachment.lock_fd] if attachment else [])
    finally:
        database.dispose()
    click.get_current_context().exit(code)


def _dagster_url(output: Output, database: Database) -> str | None:
    """Programs that have nothing to do with Dagster run also where its tables cannot be made."""
    try:
        return ensure_dagster_database(database)
    except PipelineError as error:
        output.progress.print(f"warning: {error.message}\nremedy: {error.hint}")
        return None


def _libpq_variables(database: Database) -> dict[str, str]:
    """So that plain `psql` and `pg_dump` come to the same database as `psql "$DATABASE_URL"`."""
    url = make_url(database.url)
    host, port = url.query.get("host", url.host), url.query.get("port", url.port)
    variables = {
        "PGHOST": host,
        "PGPORT": port,
        "PGUSER": url.username,
        "PGPASSWORD": url.password,
        "PGDATABASE": url.database,
    }
    return {name: str(value) for name, value in variables.items() if value is not None}


def _search_path(server_programs: Path | None) -> str:
    """This environment's programs first, as if it were activated, then those that came with the server: an
    older pg_dump of the system would refuse it.
    """
    folders = [Path(sys.executable).parent, server_programs, os.environ.get("PATH", os.defpath)]
    return os.pathsep.join(str(folder) for folder in folders if folder is not None)


def _run(command: Sequence[str], variables: dict[str, str], descriptors: Sequence[int]) -> int:
    """Run the program to its end; the descriptors keep the server up even if we are killed before it ends."""
    program = shutil.which(command[0], path=variables["PATH"])
    if program is None:
        raise PipelineError(
            f"there is no program {command[0]!r}", hint="check its name, or give its whole path", exit_code=2
        )
    # Handlers, not SIG_IGN, which the program would inherit.
    for number in LEFT_TO_THE_PROGRAM:
        signal.signal(number, lambda *_: None)
    child = subprocess.Popen([program, *command[1:]], env=variables, pass_fds=descriptors)
    for number in PASSED_ON:
        signal.signal(number, lambda received, _: child.send_signal(received))
    code = child.wait()
    return code if code >= 0 else 128 - code

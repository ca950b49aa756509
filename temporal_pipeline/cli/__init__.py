"""`temporal-pipeline VERB`: thin verbs over the same code that the assets call."""

import os
import sys
import traceback
from typing import NoReturn

import click

from temporal_pipeline import __version__
from temporal_pipeline.cli.alerts import alerts
from temporal_pipeline.cli.backfill import backfill
from temporal_pipeline.cli.demo import demo
from temporal_pipeline.cli.doctor import doctor
from temporal_pipeline.cli.exec import exec_
from temporal_pipeline.cli.maintain import maintain
from temporal_pipeline.cli.mcp import mcp
from temporal_pipeline.cli.migrate import migrate
from temporal_pipeline.cli.output import Output
from temporal_pipeline.cli.plan import plan
from temporal_pipeline.cli.query import query
from temporal_pipeline.cli.reanalyse import reanalyse
from temporal_pipeline.cli.replay import replay
from temporal_pipeline.cli.rescore import rescore
from temporal_pipeline.cli.rollback import rollback
from temporal_pipeline.cli.status import status
from temporal_pipeline.cli.update import update
from temporal_pipeline.cli.verify import verify
from temporal_pipeline.errors import PipelineError

INTERRUPTED = 130


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=(
        "Exit codes: 0 ok, 1 failed or done in part, 2 usage, 3 a verification did not hold, "
        "4 something is pending, 5 refused or locked, 130 interrupted."
    ),
)
@click.version_option(__version__, prog_name="temporal-pipeline")
@click.option("--database-url", metavar="URL", help="The application's database, instead of DATABASE_URL.")
@click.option("--debug", is_flag=True, help="Show where an unexpected error came from.")
@click.pass_obj
def cli(output: Output, database_url: str | None, debug: bool) -> None:
    """Temporal memory for a crawler's PostgreSQL database.

    Works on the database of DATABASE_URL (environment, else .env); without it on an embedded PostgreSQL.
    """
    output.debug = debug
    if database_url is not None:
        os.environ["DATABASE_URL"] = database_url


for verb in (
    doctor,
    plan,
    migrate,
    backfill,
    verify,
    rollback,
    replay,
    update,
    rescore,
    maintain,
    reanalyse,
    status,
    query,
    mcp,
    alerts,
    exec_,
    demo,
):
    cli.add_command(verb)


def main() -> NoReturn:
    """Run a verb and end the process with its exit code; every error is a line with its remedy."""
    output = Output()
    try:
        code = cli.main(standalone_mode=False, obj=output)
    except click.ClickException as error:
        error.show()
        output.fail(PipelineError(error.format_message(), exit_code=error.exit_code), shown=True)
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        output.fail(PipelineError("interrupted", hint="the same command goes on where it stopped"))
        code = INTERRUPTED
    except PipelineError as error:
        output.fail(error)
        code = error.exit_code
    except Exception as error:
        if output.debug:
            traceback.print_exc()
        output.fail(_unexpected(error))
        code = 1
    sys.exit(code or 0)


def _unexpected(error: Exception) -> PipelineError:
    """One line, without the statement and its values, which database errors carry in the lines after it."""
    first_line = (str(error).splitlines() or [""])[0]
    return PipelineError(
        f"{type(error).__name__}: {first_line}",
        hint="run `temporal-pipeline --debug …` to see where it came from",
    )

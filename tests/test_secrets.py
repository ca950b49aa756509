"""Nobody reads the password: not in outputs and errors, process lists, log files, backups or Dagster's tables."""

import json
import re
import shutil
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from psycopg import sql
from sqlalchemy.exc import DBAPIError

from temporal_pipeline.cli import cli
from temporal_pipeline.crosshot.replay import create_legacy_tables
from temporal_pipeline.dagster_home import DATABASE as DAGSTER_DATABASE
from temporal_pipeline.database import Database
from temporal_pipeline.embedded.place import Place
from temporal_pipeline.errors import PipelineError
from temporal_pipeline.settings import PROJECT_ROOT
from tests.command_line import CommandLine
from tests.crosshot_rows import add_content, add_topic
from tests.servers import embedded_binaries, new_server

pytestmark = pytest.mark.slow

# Characters at which one takes URLs apart stand between words, each of which gives it away.
PASSWORD = "hush1@hush2/hush3:hush4%hush5?hush6#hush7 hush8é"
SECRET = re.compile(r"hush\d")

OWNER = "owner of it"
GUEST = "guest"
LEGACY, HEAD, EMPTY, RUNS = "legacy", "head", "empty", "runs"

EXPORT_LINE = {
    "kind": "topic",
    "key": "t",
    "name": "trains",
    "keywords": ["train"],
    "platforms": ["x"],
    "created_at": "2026-01-01T00:00:00Z",
}

# How a verb is called that needs to be told something. Others are called as they are; those that ask, with --yes.
ARGUMENTS = {
    "alerts": ["list"],
    "exec": ["--", "sh", "-c", 'psql -c "SELECT FROM contents" && psql "$DATABASE_URL" -c "SELECT 1"'],
    "mcp": ["serve"],
    "query": ["queries", "trains"],
    "reanalyse": ["trains", "--period", "0", "--reason", "why not"],
    "replay": ["{export}"],
    "rescore": ["--entity", "trains"],
    "rollback": ["--to", "legacy", "--force"],
}
VERBS = sorted(cli.commands)

# Told by each Python process of the programs that it starts; what they get as environment is nobody's to read.
WATCHES_CHILDREN = """
import os, sys

def watch(event, arguments):
    if event in ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.spawn", "os.system"):
        with open(os.environ["CHILDREN"], "a", encoding="utf-8", errors="surrogateescape") as log:
            log.write(repr(arguments[:2]) + "\\n")

sys.addaudithook(watch)
"""


@dataclass
class World:
    """A server where every role but the superuser has to say its password, and everything that was printed."""

    place: Place
    folder: Path
    # What the last program printed.
    printed: str = ""

    def url(self, database: str, role: str = OWNER, password: str = quote(PASSWORD, safe="")) -> str:
        return f"postgresql://{quote(role)}:{password}@/{database}?host={self.place.socket_folder}"

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def children(self) -> str:
        """The programs that were started, with their arguments."""
        log = self.folder / "children"
        return log.read_text(errors="surrogateescape") if log.exists() else ""

    def execute(self, database: str, *statements: sql.Composable | str) -> None:
        """Run statements as superuser."""
        with self.place.connect(database) as connection:
            for statement in statements:
                connection.execute(statement if isinstance(statement, sql.Composable) else statement.encode())

    def run(self, *command: str | Path, folder: Path = PROJECT_ROOT, **variables: str) -> int:
        """Run a Python program and keep what it printed; the exit code."""
        environment = CommandLine(
            self.home,
            CHILDREN=str(self.folder / "children"),
            PYTHONPATH=f"{self.folder / 'watching'}:{folder}",
            TEMPORAL_PIPELINE_BACKUPS=str(self.folder / "backups"),
        ).variables
        done = subprocess.run(
            [sys.executable, "-m", *command],
            env=environment | variables,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            timeout=300,
            check=False,
        )
        self.printed = done.stdout + done.stderr
        assert not SECRET.search(self.printed), self.printed
        assert not SECRET.search(self.children), self.children
        return done.returncode

    def verb(
        self, verb: str, *arguments: str, url: str = "", before: tuple[str, ...] = (), **variables: str
    ) -> int:
        """Run `temporal-pipeline VERB`; the exit code."""
        return self.run(
            "temporal_pipeline.cli", "--debug", *before, verb, *arguments, DATABASE_URL=url, **variables
        )

    def arguments(self, verb: str) -> list[str]:
        """What a verb has to be told, and `--yes` and `--json` where it knows them."""
        told = [word.format(export=self.folder / "export.jsonl") for word in ARGUMENTS.get(verb, [])]
        return [option for option in ("--yes", "--json") if option in options_of(verb)] + told


def options_of(verb: str) -> set[str]:
    return {name for option in cli.commands[verb].params for name in option.opts}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("secrets")
    (folder / "watching").mkdir()
    (folder / "watching" / "sitecustomize.py").write_text(WATCHES_CHILDREN)
    (folder / "export.jsonl").write_text(json.dumps(EXPORT_LINE) + "\n")
    with new_server(embedded_binaries()) as place:
        access = place.data / "pg_hba.conf"
        access.write_text("local all crosshot trust\nlocal all all scram-sha-256\n")
        world = World(place, folder)
        create = sql.SQL("CREATE ROLE {} LOGIN {} PASSWORD {}")
        world.execute(
            "postgres",
            "SELECT pg_reload_conf()",
            create.format(sql.Identifier(OWNER), sql.SQL("CREATEDB"), sql.Literal(PASSWORD)),
            create.format(sql.Identifier(GUEST), sql.SQL(""), sql.Literal(PASSWORD)),
            *(
                sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), sql.Identifier(OWNER))
                for name in (LEGACY, HEAD, EMPTY, RUNS, DAGSTER_DATABASE)
            ),
            # Of none of the three: all of them keep their runs there.
            f"COMMENT ON DATABASE {DAGSTER_DATABASE} IS 'shared by the tests'",
        )
        for name in (LEGACY, HEAD):
            database = Database(world.url(name))
            create_legacy_tables(database)
            with database.transaction() as connection:
                add_content(connection, topic=add_topic(connection))
            database.dispose()
        assert world.run("alembic", "upgrade", "head", DATABASE_URL=world.url(HEAD)) == 0
        yield world


def test_the_server_wants_the_password(world: World) -> None:
    psycopg.connect(world.url(LEGACY)).close()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(world.url(LEGACY, password="another"))


def failing_url(world: World, reason: str) -> str:
    """A URL of the right password, or of one that is nearly right, with which nothing can succeed."""
    right = quote(PASSWORD, safe="")
    return {
        "wrong password": world.url(HEAD, password=right + "hush9"),
        "connection refused": f"postgresql://me:{right}@127.0.0.1:1/{HEAD}",
        "no such database": world.url("there_is_none"),
        "foreign database": world.url(EMPTY),
        "no rights": world.url(HEAD, GUEST),
    }[reason]


REASONS = ("wrong password", "connection refused", "no such database", "foreign database", "no rights")
# To look at any database and to say what it lacks, or to run any program beside it, is what these are for.
CONTENT_WITH_ANY_DATABASE = ("status", "exec")
# A server says it in its answers, when it is asked something.
SAYS_SO_LATER = ("mcp",)


def failures() -> Iterator[object]:
    """Every verb with every reason; two of each verb, and so each reason with some, are part of every run."""
    for position, verb in enumerate(VERBS):
        # What is nobody's database, the demo takes for its own.
        for reason in REASONS if verb != "demo" else REASONS[:3]:
            is_sample = reason in (REASONS[0], REASONS[position % len(REASONS)])
            yield pytest.param(verb, reason, marks=() if is_sample else pytest.mark.acceptance)


@pytest.mark.parametrize(("verb", "reason"), list(failures()))
def test_a_verb_that_fails(world: World, verb: str, reason: str) -> None:
    code = world.verb(verb, *world.arguments(verb), url=failing_url(world, reason))
    is_content = reason == "foreign database" and verb in CONTENT_WITH_ANY_DATABASE
    assert code or is_content or verb in SAYS_SO_LATER, world.printed


@pytest.mark.parametrize("reason", REASONS)
def test_alembic_that_fails(world: World, reason: str) -> None:
    assert world.run("alembic", "upgrade", "head", DATABASE_URL=failing_url(world, reason)), world.printed


def test_a_flag_and_a_file(world: World) -> None:
    """The other ways to say the URL; a copy of the project has a file `.env` of its own."""
    project = world.folder / "project"
    for name in ("temporal_pipeline", "migrations"):
        shutil.copytree(PROJECT_ROOT / name, project / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "dagster.yaml"):
        shutil.copy(PROJECT_ROOT / name, project)
    wrong = quote(PASSWORD, safe="") + "hush9"
    for password, code in ((quote(PASSWORD, safe=""), 0), (wrong, 1)):
        url = world.url(HEAD, password=password)
        (project / ".env").write_text(f"DATABASE_URL={url}\n")
        assert world.run("temporal_pipeline.cli", "status", folder=project) == code, world.printed
        assert world.verb("status", before=("--database-url", url)) == code, world.printed
    (project / ".env").write_text(
        f"DATABASE_URL={world.url(HEAD)}\nDAGSTER_DATABASE_URL={world.url(RUNS, password=wrong)}\n"
    )
    assert world.run("temporal_pipeline.cli", "--debug", "update", "--json", folder=project) == 1
    assert "password authentication failed" in world.printed


# Each verb in words and as JSON, from legacy to head and back.
LIFE = (
    ("doctor",),
    ("status", "--json"),
    ("plan",),
    ("plan", "--json"),
    ("plan", "--sql"),
    ("update", "--dry-run"),
    ("migrate", "--yes", "--verify-backup"),
    ("migrate", "--yes", "--json"),
    ("backfill",),
    ("backfill", "--json"),
    ("replay", "{export}"),
    ("replay", "{export}", "--json"),
    ("update", "--json"),
    ("query", *ARGUMENTS["query"]),
    ("mcp", *ARGUMENTS["mcp"]),
    ("reanalyse", "AI agents", "--period", "0", "--reason", "why not", "--yes", "--json"),
    ("rescore", *ARGUMENTS["rescore"], "--yes", "--json"),
    ("verify",),
    ("verify", "--json"),
    ("doctor", "--json"),
    ("alerts", "list", "--json"),
    ("maintain", "--json"),
    ("status",),
    ("exec", *ARGUMENTS["exec"]),
    ("rollback", "--to", "legacy", "--force", "--yes"),
    ("rollback", "--restore", "{backup}", "--yes", "--json"),
)


@pytest.mark.acceptance
def test_a_life_without_failures(world: World) -> None:
    calls = [call for call in LIFE if call[0] in VERBS]
    assert {call[0] for call in calls} == set(VERBS) - {"demo"}, "a verb that this life knows nothing of"
    for verb, *told in calls:
        backups = sorted((world.folder / "backups").glob("*.dump"), key=lambda path: path.stat().st_mtime_ns)
        # The latest is of the database that this life is about.
        backup = backups[-1] if backups else "no backup"
        arguments = [word.format(export=world.folder / "export.jsonl", backup=backup) for word in told]
        assert world.verb(verb, *arguments, url=world.url(LEGACY)) == 0, world.printed
    assert "psql" in world.children
    if "migrate" in VERBS:
        assert "bin/pg_dump" in world.children
        assert "bin/pg_restore" in world.children
    for command in (["upgrade", "head"], ["current"], ["upgrade", "head", "--sql"], ["downgrade", "-3"]):
        assert world.run("alembic", *command, DATABASE_URL=world.url(LEGACY)) == 0, world.printed


RAISES = "RAISE EXCEPTION 'no more room'"
LOSES_ITS_CONNECTION = "PERFORM pg_terminate_backend(pg_backend_pid())"


# A lost connection is tried again for 42 s.
@pytest.mark.parametrize("how", [RAISES, pytest.param(LOSES_ITS_CONNECTION, marks=pytest.mark.acceptance)])
def test_a_statement_that_fails(world: World, how: str) -> None:
    with inserting_fails(world, how):
        assert world.verb("update", "--verbose", "--json", url=world.url(HEAD)) == 1, world.printed
    assert "temporal_pipeline/defs/periods/" in world.printed


@contextmanager
def inserting_fails(world: World, how: str) -> Iterator[None]:
    """There is work to do, and the first statement that would do it fails."""
    database = Database(world.place.url(HEAD))
    with database.transaction() as connection:
        add_content(connection, topic=add_topic(connection))
    database.dispose()
    world.execute(
        HEAD,
        f"CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN {how}; RETURN NEW; END$$",
        "CREATE TRIGGER fail BEFORE INSERT ON temporal_pipeline.cut FOR EACH STATEMENT EXECUTE FUNCTION fail()",
    )
    yield
    world.execute(HEAD, "DROP FUNCTION fail CASCADE")


@pytest.mark.parametrize("broken", ["CREATE TABLE v_period_timeline ()", "DROP TABLE contents CASCADE"])
def test_an_upgrade_that_fails(world: World, broken: str) -> None:
    name = broken.split(maxsplit=1)[0]
    world.execute(
        "postgres", sql.SQL("CREATE DATABASE {} OWNER {}").format(*map(sql.Identifier, (name, OWNER)))
    )
    database = Database(world.url(name))
    create_legacy_tables(database)
    database.dispose()
    world.execute(name, broken)
    assert world.run("alembic", "upgrade", "head", DATABASE_URL=world.url(name)) == 1
    assert world.verb("update", url=world.url(name)) == 1


def test_what_is_kept(world: World) -> None:
    """Log files, backups, the tables of the pipeline and of Dagster, also by runs of Dagster's own commands."""
    with inserting_fails(world, RAISES):
        dagster = ("dagster", "job", "execute", "-m", "temporal_pipeline.definitions", "-j", "update")
        assert world.verb("exec", "--", sys.executable, "-m", *dagster, url=world.url(HEAD)) == 1
    world.verb("status", url=failing_url(world, "wrong password"))
    kept = {str(path): path.read_bytes() for path in world.folder.rglob("*") if is_kept(world, path)}
    kept["server's log"] = world.place.server_log.read_bytes()
    for name in (LEGACY, HEAD, DAGSTER_DATABASE):
        kept[f"database {name}"] = output_of(
            world.place.bin / "pg_dump", "--data-only", f"--dbname={world.place.url(name)}"
        )
    for backup in (world.folder / "backups").glob("*.dump"):
        kept[f"restored {backup}"] = output_of(world.place.bin / "pg_restore", "--file=-", backup)
    assert b"STEP_FAILURE" in kept[f"database {DAGSTER_DATABASE}"]
    assert b"no more room" in kept[f"database {DAGSTER_DATABASE}"]
    assert b"password authentication failed" in kept["server's log"]
    telling = [name for name, text in kept.items() if re.search(rb"hush\d", text)]
    assert telling == []


def is_kept(world: World, path: Path) -> bool:
    return path.is_file() and path.name != ".env" and not path.is_relative_to(world.folder / "watching")


def output_of(*command: str | Path) -> bytes:
    return subprocess.run(command, check=True, capture_output=True).stdout


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://me:{PASSWORD}@127.0.0.1:1/crosshot",
        f"postgresql://me:{PASSWORD.replace('@', '')}@127.0.0.1:1/crosshot",
        "postgresql://me:hush1@hush2@127.0.0.1:1/crosshot",
        "postgresql://me:hush1/hush2@127.0.0.1:1/crosshot",
        "postgresql://me:hush1:hush2@127.0.0.1:1/crosshot",
        "postgresql://me:hush1@hush2:hush3@127.0.0.1:1/crosshot",
        "postgresql://me:hush1@hush2/hush3@127.0.0.1:1/crosshot",
        "postgresql://me:hush1#hush2@127.0.0.1:1/crosshot",
        "postgresql:///crosshot?host=127.0.0.1&port=1&user=me&password=hush1",
        "postgresql://me@127.0.0.1:1/crosshot?password=hush1&sslpassword=hush2",
        "postgresql://me:hush1@127.0.0.1:1/crosshot?sslmode=nonsense",
        "postgresql://me:hush1@127.0.0.1:1/crosshot?nonsense=1",
        "postgresql://me:hush1@127.0.0.1:1,127.0.0.1:2/crosshot",
        "host=127.0.0.1 port=1 user=me password=hush1",
        "mysql://me:hush1@127.0.0.1:1/crosshot",
    ],
)
def test_a_url_that_was_written_wrongly(url: str) -> None:
    with pytest.raises((PipelineError, DBAPIError)) as refused, Database(url).transaction():
        pass
    assert not SECRET.search("".join(traceback.format_exception(refused.value)))

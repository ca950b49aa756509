"""The literal SQL of every way up and down, as squawk sees it: no finding that is not allowed for a reason."""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import event

from temporal_pipeline.database import OLDEST_SERVER, Database
from temporal_pipeline.defs.schema.definition.model import REVISIONS
from temporal_pipeline.defs.schema.upgrade import upgrade
from tests.migrations.arrivals import ARRIVALS, after_the_applications_own_migrations
from tests.migrations.tools import downgrade, written_script

SQUAWK = Path(sys.executable).parent / "squawk"


@dataclass(frozen=True)
class Allowed:
    """A rule that does not apply to the statements that `statement` matches at their beginning."""

    rule: str
    statement: str
    reason: str


ALLOWED = (
    Allowed(
        "prefer-text-field",
        r"CREATE TABLE |ALTER TABLE \w+\s+ADD COLUMN ",
        "types are a contract with the application (and alembic_version is Alembic's own)",
    ),
    Allowed(
        "prefer-bigint-over-int",
        r"CREATE TABLE |ALTER TABLE \w+\s+ADD COLUMN ",
        "types are a contract with the application; in our own tables an integer counts contents of one period",
    ),
    Allowed(
        "prefer-robust-stmts",
        "CREATE TABLE |(CREATE|DROP) (UNIQUE )?INDEX CONCURRENTLY |ALTER TABLE .* VALIDATE CONSTRAINT ",
        "the catalogue decides whether a step runs, by definition; IF NOT EXISTS would look at the name only, "
        "and take an invalid index that a crash left for a good one",
    ),
    Allowed(
        "require-statement-timeout",
        "",
        "an index on a large table takes as long as it takes; what may hold others up is bounded by lock_timeout",
    ),
    Allowed(
        "require-lock-timeout",
        "(CREATE|DROP) (UNIQUE )?INDEX CONCURRENTLY |ALTER TABLE .* VALIDATE CONSTRAINT ",
        "nobody who reads or writes waits behind it while it waits",
    ),
    Allowed(
        "require-concurrent-index-creation",
        r"CREATE UNIQUE INDEX idx_mv_period_metrics_entity\s+ON mv_period_metrics_trend ",
        "the materialized view was made in this very transaction, so that nobody uses it yet",
    ),
    Allowed(
        "ban-drop-view",
        "DROP (MATERIALIZED )?VIEW ",
        "of ours; in an upgrade only where it cannot be replaced, and made anew in the same transaction",
    ),
    Allowed(
        "ban-drop-function",
        "DROP FUNCTION ",
        "of ours; in an upgrade only one of other arguments or results than those of the contract",
    ),
    Allowed(
        "adding-not-nullable-field",
        "ALTER TABLE analysis_periods ALTER COLUMN insights SET NOT NULL",
        "the contract says so, and the check that was validated before spares the scan",
    ),
    Allowed(
        "ban-drop-not-null",
        "ALTER TABLE analysis_periods .*ALTER COLUMN execution_log DROP NOT NULL",
        "the contract says so",
    ),
    Allowed(
        "ban-drop-constraint",
        "ALTER TABLE period_content_snapshots DROP CONSTRAINT period_content_snapshots_content_id_fkey",
        "it would forbid to delete a content; the one of the contract, which cascades, comes next",
    ),
    Allowed(
        "ban-drop-constraint",
        "ALTER TABLE analysis_periods DROP CONSTRAINT insights_is_set",
        "of ours, made for the NOT NULL that has taken its place",
    ),
    Allowed(
        "constraint-missing-not-valid",
        "ALTER TABLE analysis_periods ADD CONSTRAINT no_overlapping_periods EXCLUDE ",
        "an exclusion constraint cannot be NOT VALID",
    ),
    Allowed(
        "renaming-object",
        "ALTER INDEX |ALTER TABLE .* RENAME CONSTRAINT ",
        "an index or reference that the application made under another name is adopted, not made twice",
    ),
)
# What a downgrade is for: to take away what is ours, and nothing else.
ALLOWED_IN_DOWNGRADE = (
    *ALLOWED,
    Allowed(
        "ban-drop-table",
        "DROP TABLE (temporal_pipeline\\.\\w+|analysis_periods|period_content_snapshots|temporal_events"
        "|event_contents|crawl_effectiveness)$",
        "of ours",
    ),
    Allowed("ban-drop-column", r"ALTER TABLE \w+\s+DROP COLUMN IF EXISTS ", "of ours"),
    Allowed("ban-drop-schema", "DROP SCHEMA temporal_pipeline$", "of ours"),
)


@dataclass(frozen=True)
class Finding:
    rule: str
    statement: str
    message: str

    def is_covered(self, allowed: Allowed) -> bool:
        return self.rule == allowed.rule and bool(re.match(allowed.statement, self.statement, re.DOTALL))


def findings(statements: list[str]) -> list[Finding]:
    """What squawk says of the statements, each transaction by itself: what an earlier one set does not count."""
    with tempfile.TemporaryDirectory() as folder:
        transactions = _transactions(statements)
        files = [Path(folder) / f"{number}.sql" for number in range(len(transactions))]
        for file, transaction in zip(files, transactions, strict=True):
            file.write_text("".join(f"{statement};\n" for statement in transaction), encoding="utf-8")
        done = subprocess.run(
            [SQUAWK, "--reporter", "json", "--pg-version", f"{OLDEST_SERVER}.0", *files],
            capture_output=True,
            text=True,
            check=False,
            cwd=folder,
        )
    assert done.stdout, done.stderr
    return [
        Finding(
            found["rule_name"],
            _statement_at(transactions[int(Path(found["file"]).stem)], found["line"]),
            found["message"],
        )
        for found in json.loads(done.stdout)
    ]


def _transactions(statements: list[str]) -> list[list[str]]:
    transactions: list[list[str]] = []
    is_open = False
    for statement in statements:
        if is_open:
            transactions[-1].append(statement)
        else:
            transactions.append([statement])
        is_open = statement == "BEGIN" or (is_open and statement not in ("COMMIT", "ROLLBACK"))
    return transactions


def _statement_at(statements: list[str], line: int) -> str:
    for statement in statements:
        line -= statement.count("\n") + 1
        if line < 0:
            return statement
    raise AssertionError("squawk names a line that there is not")


def not_allowed(statements: list[str], allowed: tuple[Allowed, ...]) -> list[Finding]:
    return [
        finding
        for finding in findings(statements)
        if not any(finding.is_covered(exception) for exception in allowed)
    ]


@contextmanager
def statements_of(database: Database) -> Iterator[list[str]]:
    """Everything literal that is executed on the database, in order; what has parameters is none of the DDL."""

    def record(connection: object, cursor: object, statement: str, parameters: object, *_: object) -> None:
        if not parameters:
            executed.extend(_parts(statement))

    executed: list[str] = []
    event.listen(database.engine, "before_cursor_execute", record)
    yield executed
    event.remove(database.engine, "before_cursor_execute", record)


def _parts(statements: str) -> list[str]:
    """Statements that are sent together; a semicolon inside a function's body separates none."""
    parts = re.split(r";\s*\n(?=DO |CREATE |DROP |ALTER )", statements.strip())
    return [part.strip().rstrip(";") for part in parts]


@pytest.mark.parametrize("arrival", ARRIVALS)
def test_what_an_upgrade_executes(legacy_database: Database, arrival: str) -> None:
    ARRIVALS[arrival](legacy_database)
    with statements_of(legacy_database) as executed:
        upgrade(legacy_database)
    assert any("COMMENT ON VIEW temporal_pipeline.entity " in statement for statement in executed)
    assert not_allowed(executed, ALLOWED) == []


def test_what_a_downgrade_executes(database: Database) -> None:
    with statements_of(database) as executed:
        downgrade(database, "-3")
    assert "DROP TABLE analysis_periods" in executed
    assert not_allowed(executed, ALLOWED_IN_DOWNGRADE) == []


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("direction", [command.upgrade, command.downgrade])
def test_the_script_of_each_revision(direction: Callable[..., None], revision: str) -> None:
    """Parsed by squawk as by a server; the statements inside are those that the tests above have seen."""
    before = ("base", *REVISIONS)[REVISIONS.index(revision)]
    ways = {command.upgrade: f"{before}:{revision}", command.downgrade: f"{revision}:{before}"}
    script = written_script(direction, ways[direction])
    without_commands_of_psql = re.sub(r"^\\set .*$", "", script, flags=re.MULTILINE).replace("\n\\gexec", ";")
    assert "\n\\" not in without_commands_of_psql
    assert not_allowed([without_commands_of_psql], (Allowed("prefer-text-field", "", ""),)) == []


def test_every_exception_is_needed(legacy_database: Database) -> None:
    """One that excuses nothing any more would excuse the next mistake."""
    found = []
    for arrive in (ARRIVALS["after create_all"], after_the_applications_own_migrations):
        arrive(legacy_database)
        with statements_of(legacy_database) as executed:
            upgrade(legacy_database)
        found += findings(executed)
    with statements_of(legacy_database) as executed:
        downgrade(legacy_database, "-3")
    found += findings(executed)
    for allowed in ALLOWED_IN_DOWNGRADE:
        assert any(finding.is_covered(allowed) for finding in found), allowed


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        (
            "CREATE INDEX idx_contents_period ON contents (analysis_period_id)",
            "require-concurrent-index-creation",
        ),
        (
            "ALTER TABLE contents ADD CONSTRAINT c FOREIGN KEY (a) REFERENCES analysis_periods (id)",
            "adding-foreign-key-constraint",
        ),
        ("ALTER TABLE contents ALTER COLUMN text SET NOT NULL", "adding-not-nullable-field"),
        (
            "ALTER TABLE contents ADD COLUMN a timestamptz DEFAULT clock_timestamp()",
            "adding-field-with-default",
        ),
        ("ALTER TABLE contents ADD COLUMN a text", "require-lock-timeout"),
        ("DROP TABLE contents", "ban-drop-table"),
        ("ALTER TABLE contents DROP COLUMN text", "ban-drop-column"),
        ("CREATE INDEX CONCURRENTLY", "syntax-error"),
    ],
)
def test_what_would_stop_writers_or_destroy_is_found(statement: str, rule: str) -> None:
    assert rule in [finding.rule for finding in not_allowed([statement], ALLOWED_IN_DOWNGRADE)]

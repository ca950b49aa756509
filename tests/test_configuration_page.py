"""What docs/configuration.md says about rights is true: its statements are run as they stand."""

import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import make_url

from temporal_pipeline.dagster_home import libpq_url
from temporal_pipeline.database import Database
from temporal_pipeline.defs.periods.cutting import perform_cut
from temporal_pipeline.defs.schema.upgrade import downgrade, upgrade
from temporal_pipeline.errors import PipelineError
from temporal_pipeline.operations.backup.dump import take_backup
from temporal_pipeline.operations.verification import verify
from temporal_pipeline.settings import PROJECT_ROOT
from tests.crosshot_rows import add_content, add_topic, at

PAGE = PROJECT_ROOT / "docs" / "configuration.md"


@dataclass
class Roles:
    """A database whose tables, and nothing else, belong to a role; `owner` and `analyst` are ways in."""

    superuser: Database
    owner: Database
    analyst: Database
    names: dict[str, str]

    def run(self, statements: str) -> None:
        """Execute a block of the page, with names of this test's own."""
        for name, own in self.names.items():
            statements = re.sub(rf"\b{name}\b", own, statements)
        with psycopg.connect(libpq_url(self.superuser), autocommit=True) as admin:
            admin.execute(statements.encode())


def _blocks(page: Path = PAGE) -> list[str]:
    return re.findall(r"```sql\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.fixture
def roles(legacy_database: Database) -> Iterator[Roles]:
    suffix = secrets.token_hex(4)
    names = {"crosshot": f"crosshot_{suffix}", "analyst": f"analyst_{suffix}"}
    password = secrets.token_hex(8)
    database = make_url(legacy_database.url)
    with psycopg.connect(libpq_url(legacy_database), autocommit=True) as admin:
        owner = sql.Identifier(names["crosshot"])
        admin.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(owner, password))
        tables = admin.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        for (table,) in tables:
            admin.execute(sql.SQL("ALTER TABLE {} OWNER TO {}").format(sql.Identifier(table), owner))
        ways = [
            Database(database.set(username=name, password=password).render_as_string(hide_password=False))
            for name in names.values()
        ]
        try:
            yield Roles(legacy_database, ways[0], ways[1], names)
        finally:
            for way in ways:
                way.dispose()
            for name in names.values():
                if admin.execute("SELECT FROM pg_roles WHERE rolname = %s", [name]).fetchone():
                    role = sql.Identifier(name)
                    admin.execute(sql.SQL("REASSIGN OWNED BY {} TO CURRENT_USER").format(role))
                    admin.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(role))


def test_a_role_that_owns_only_the_tables_needs_what_the_page_says_and_no_more(roles: Roles) -> None:
    with pytest.raises(PipelineError, match="permission denied"):
        upgrade(roles.owner)
    roles.run(_blocks()[0])
    upgrade(roles.owner)
    with roles.superuser.transaction() as connection:
        add_content(connection, topic=add_topic(connection, "Night trains"), crawled_at=at(0))
    from temporal_pipeline.defs.contents.prepare import prepare_contents

    prepare_contents(roles.owner)
    assert len(perform_cut(roles.owner, "one").periods) == 1
    assert [c for c in verify(roles.owner) if not c.holds] == []
    downgrade(roles.owner)


def test_what_only_some_want_can_be_granted(roles: Roles, tmp_path: Path) -> None:
    roles.run(_blocks()[0])
    upgrade(roles.owner)
    roles.run(_blocks()[1])
    assert take_backup(roles.owner, tmp_path, verify=True).verified


def test_an_analyst_may_look_and_not_touch(roles: Roles) -> None:
    roles.run(_blocks()[0])
    upgrade(roles.owner)
    roles.run(_blocks()[2])
    with psycopg.connect(libpq_url(roles.superuser), autocommit=True) as admin:
        password = make_url(roles.analyst.url).password
        assert password is not None
        admin.execute(
            sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(roles.names["analyst"]), password)
        )
    assert [c for c in verify(roles.analyst) if not c.holds] == []
    with psycopg.connect(libpq_url(roles.analyst)) as analyst:
        assert analyst.execute("SELECT count(*) FROM v_period_timeline").fetchone() == (0,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            analyst.execute("DELETE FROM contents")

"""Every named query is understood by the server on the migrated schema, and says what it is for."""

from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from temporal_pipeline.database import Queries
from temporal_pipeline.settings import PROJECT_ROOT

PACKAGES = sorted(
    ".".join(path.parent.relative_to(PROJECT_ROOT).parts)
    for path in (PROJECT_ROOT / "temporal_pipeline").rglob("queries.sql")
)
NAMED = [(package, name) for package in PACKAGES for name in Queries(package)]
# EXPLAIN takes no utility statements.
UTILITY = ("REFRESH", "ANALYZE", "LOCK", "SET", "CREATE", "DROP", "VACUUM")


@pytest.mark.parametrize(("package", "name"), NAMED)
def test_the_server_can_plan_it(connection: Connection, package: str, name: str) -> None:
    query = Queries(package)[name]
    statement = "\n".join(line for line in query.text.splitlines() if not line.startswith("--"))
    if statement.lstrip().upper().startswith(UTILITY):
        pytest.skip("a utility statement has no plan")
    explain = text(f"EXPLAIN {query.text}")
    connection.execute(explain, dict.fromkeys(explain._bindparams))


@pytest.mark.parametrize("package", PACKAGES)
def test_each_has_a_sentence_of_purpose_and_binds_with_a_type(package: str) -> None:
    source = Path(PROJECT_ROOT, *package.split("."), "queries.sql").read_text(encoding="utf-8")
    for query in source.split("-- name: ")[1:]:
        name, purpose, *sql = query.splitlines()
        assert purpose.startswith("-- "), name
        assert purpose.rstrip().endswith("."), name
        bare = [w for line in sql if not line.startswith("--") for w in line.split() if w.startswith(":")]
        assert not [w for w in bare if not w.startswith("::")], name

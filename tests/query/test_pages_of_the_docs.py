"""docs/query.md prints what it shows, and every statement of docs/queries.sql finds something."""

import re

import pytest
from sqlalchemy import text

from temporal_pipeline.defs.schema.definition.model import FUNCTIONS, MATERIALIZED_VIEW, TABLES, VIEWS
from temporal_pipeline.settings import PROJECT_ROOT
from tests.query.demo import Demo
from tests.query.page import CELL, PAGE, executed

pytestmark = pytest.mark.slow

STATEMENTS = re.findall(
    r"^-- (\d+)\. (.+?\?.*?)\n(SELECT .*?);\n",
    (PROJECT_ROOT / "docs" / "queries.sql").read_text(encoding="utf-8") + "\n",
    flags=re.DOTALL | re.MULTILINE,
)
DOCUMENTED = (*VIEWS, MATERIALIZED_VIEW, *FUNCTIONS, *(table.name for table in TABLES))


def test_the_page_shows_what_its_lines_print(demo: Demo) -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert len(CELL.findall(page)) >= 8
    assert timeless(executed(page, demo)) == timeless(page), "write it anew: python -m tests.query.page"


def timeless(page: str) -> str:
    """The page without the times at which somebody played the demo."""
    return re.sub(r"recorded [\d-]+ [\d:]+", "recorded then", page)


def test_there_are_ten_statements() -> None:
    assert [number for number, _, _ in STATEMENTS] == [str(n) for n in range(1, 11)]


@pytest.mark.parametrize(("number", "question", "statement"), STATEMENTS, ids=[s[0] for s in STATEMENTS])
def test_a_statement_finds_something(demo: Demo, number: str, question: str, statement: str) -> None:
    assert question.startswith(("Which", "What", "How", "Where"))
    assert [name for name in DOCUMENTED if name in statement], "it reads nothing documented"
    with demo.database.transaction(read_only=True) as connection:
        assert connection.execute(text(statement.replace("::", "\\:\\:"))).all()

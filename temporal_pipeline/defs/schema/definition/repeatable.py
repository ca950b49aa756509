"""Views and functions: one file each, made anew wherever the database does not hold their current text.

Which text an object has is read from its comment, "what it is for [text 1a2b3c4d]": no journal is needed.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from temporal_pipeline.defs.schema.definition.model import FUNCTIONS, MATERIALIZED_VIEW, VIEWS
from temporal_pipeline.defs.schema.definition.private import PRIVATE_SCHEMA
from temporal_pipeline.defs.schema.definition.removal import drop_functions
from temporal_pipeline.defs.schema.definition.steps import Step, literal
from temporal_pipeline.settings import PROJECT_ROOT

FOLDER = PROJECT_ROOT / "migrations" / "sql"

METRIC_NUMBER = f"{PRIVATE_SCHEMA}.metric_number"
# Views over the pipeline's own tables, in an order in which each finds what it needs.
PRIVATE_VIEWS = tuple(f"{PRIVATE_SCHEMA}.{name}" for name in ("entity", "linked_content", "period_member"))
# In an order in which each finds what it needs.
DOCUMENTED = (*VIEWS, MATERIALIZED_VIEW, *FUNCTIONS)
NAMES = (METRIC_NUMBER, *DOCUMENTED, *PRIVATE_VIEWS)


@dataclass(frozen=True)
class Repeatable:
    """A view or function as its file has it."""

    name: str
    kind: str
    description: str
    sql: str

    @property
    def comment(self) -> str:
        """What the object's comment is where its text is the current one."""
        fingerprint = sha256(f"{self.description}\n{self.sql}".encode()).hexdigest()[:8]
        return f"{self.description} [text {fingerprint}]"


@lru_cache
def repeatable(name: str, folder: Path = FOLDER) -> Repeatable:
    """The file `name`.sql: its first line says what it is for, the rest makes it."""
    first, sql = (folder / f"{name}.sql").read_text(encoding="utf-8").strip().split("\n", 1)
    found = re.search(r"^CREATE (?:OR REPLACE )?(MATERIALIZED VIEW|VIEW|FUNCTION) ", sql, flags=re.MULTILINE)
    assert found is not None, name
    return Repeatable(name, found[1], first.removeprefix("-- "), sql)


def repeatable_steps(name: str) -> tuple[Step, ...]:
    """Bring one view or function to its current text; a function of other arguments goes first."""
    item = repeatable(name)
    if item.kind == "FUNCTION":
        described = f"obj_description(to_regproc({literal(name)}), 'pg_proc')"
    else:
        described = f"obj_description(to_regclass({literal(name)}), 'pg_class')"
    step = Step(
        f"{item.kind.lower()} {name}",
        f"{item.sql};\nCOMMENT ON {item.kind} {name} IS {literal(item.comment)}",
        f"{described} = {literal(item.comment)}",
        drop_first="" if item.kind == "MATERIALIZED VIEW" else f"DROP {item.kind} {name}",
    )
    return (drop_functions(name, but=FUNCTIONS[name]), step) if name in FUNCTIONS else (step,)

# ruff: noqa: S608 - the SQL is made of names that stand in our own model.
"""Views and functions: one file each, made anew wherever the database does not hold their current text.

Which text an object has is read from its comment, "what it is for [text 1a2b3c4d, as 9f8e7d6c]": no journal
is needed. The second fingerprint is that of what the server printed when the object was made, so that a text
that another hand put in its place, under our comment, is seen. A server of another version may print the same
object differently; then it is made once more.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from temporal_pipeline.defs.schema.definition.literals import canonical_sql, literal
from temporal_pipeline.defs.schema.definition.model import FUNCTIONS, MATERIALIZED_VIEW, VIEWS
from temporal_pipeline.defs.schema.definition.private import PRIVATE_SCHEMA
from temporal_pipeline.defs.schema.definition.removal import drop_functions
from temporal_pipeline.defs.schema.definition.steps import Step
from temporal_pipeline.settings import PROJECT_ROOT

FOLDER = PROJECT_ROOT / "migrations" / "sql"

METRIC_NUMBER = f"{PRIVATE_SCHEMA}.metric_number"
# Views over the pipeline's own tables; the members of a group are built on those before them.
PRIVATE_VIEW_GROUPS = (
    (f"{PRIVATE_SCHEMA}.entity",),
    (f"{PRIVATE_SCHEMA}.linked_content", f"{PRIVATE_SCHEMA}.period_member"),
    (f"{PRIVATE_SCHEMA}.member_hour",),
    (f"{PRIVATE_SCHEMA}.recorded_period",),
    (f"{PRIVATE_SCHEMA}.crawled_since_watched",),
)
PRIVATE_VIEWS = tuple(name for group in PRIVATE_VIEW_GROUPS for name in group)
# In an order in which each finds what it needs.
DOCUMENTED = (*VIEWS, MATERIALIZED_VIEW, *FUNCTIONS)
NAMES = (METRIC_NUMBER, *DOCUMENTED, *PRIVATE_VIEWS)
_ARGUMENTS = {METRIC_NUMBER: "jsonb", **FUNCTIONS}


@dataclass(frozen=True)
class Repeatable:
    """A view or function as its file has it."""

    name: str
    kind: str
    description: str
    sql: str

    @property
    def comment(self) -> str:
        """How the object's comment begins where its text is the current one."""
        fingerprint = sha256(f"{self.description}\n{self.sql}".encode()).hexdigest()[:8]
        return f"{self.description} [text {fingerprint}, as "

    @property
    def signature(self) -> str:
        """The name; of a function also the types of its arguments, without which it could be another one."""
        return f"{self.name}({_ARGUMENTS[self.name]})" if self.kind == "FUNCTION" else self.name

    @property
    def is_there(self) -> str:
        """SQL condition: there is one of that name, whatever its text."""
        lookup = "to_regprocedure" if self.kind == "FUNCTION" else "to_regclass"
        return f"{lookup}({literal(self.signature)}) IS NOT NULL"

    @property
    def is_current(self) -> str:
        """SQL condition: it is there, of this text, and nobody has replaced it since."""
        if self.kind == "FUNCTION":
            described = f"obj_description(to_regprocedure({literal(self.signature)}), 'pg_proc')"
        else:
            described = f"obj_description(to_regclass({literal(self.name)}), 'pg_class')"
        return f"coalesce({described} = {self._whole_comment}, false)"

    @property
    def noted(self) -> str:
        """The statement that gives the object its comment, as soon as it is made."""
        return (
            "DO $note$\nBEGIN\n"
            f"EXECUTE format('COMMENT ON {self.kind} {self.signature} IS %L',\n{self._whole_comment});\n"
            "END\n$note$"
        )

    @property
    def _whole_comment(self) -> str:
        """SQL expression: what the comment is right after the object was made; null if it is not there."""
        if self.kind == "FUNCTION":
            # Of an aggregate that has the name there is no definition, but an error.
            printed = (
                "(SELECT pg_get_functiondef(p.oid) FROM pg_proc p"
                f" WHERE p.oid = to_regprocedure({literal(self.signature)}) AND p.prokind <> 'a')"
            )
        else:
            # A view that a dump has made anew is printed with other casts and brackets.
            printed = canonical_sql(f"pg_get_viewdef(to_regclass({literal(self.name)}))")
        return (
            f"{literal(self.comment)} || left(encode(sha256(convert_to({printed}, 'UTF8')), 'hex'), 8) || ']'"
        )


@lru_cache
def repeatable(name: str, folder: Path = FOLDER) -> Repeatable:
    """The file `name`.sql: its first line says what it is for, the rest makes it."""
    first, sql = (folder / f"{name}.sql").read_text(encoding="utf-8").strip().split("\n", 1)
    found = re.search(r"^CREATE (?:OR REPLACE )?(MATERIALIZED VIEW|VIEW|FUNCTION) ", sql, flags=re.MULTILINE)
    assert found is not None, name
    return Repeatable(name, found[1], first.removeprefix("-- "), sql)


def repeatable_steps(*names: str) -> tuple[Step, ...]:
    """Bring a view or function, or views that are built on one another, to their current texts.

    Two steps: what is not there is made; what is there with another text is replaced, and dropped first where
    the server refuses that (other columns, other names of arguments).
    """
    items = [repeatable(name) for name in names]
    title = f"{items[0].kind.lower()} {' and '.join(names)}"
    made = ";\n".join(item.sql for item in items)
    noted = ";\n".join(item.noted for item in items)
    current = " AND ".join(item.is_current for item in items)
    if items[0].kind == "MATERIALIZED VIEW":
        # Its text begins by dropping the one before: there is no CREATE OR REPLACE.
        return (Step(title, f"{made};\n{noted}", current),)
    some = f"({' OR '.join(item.is_there for item in items)})"
    dropped = ", ".join(item.signature for item in reversed(items))
    replaced = (
        f"DO $replace$\nBEGIN\n{made};\n"
        "EXCEPTION WHEN invalid_table_definition OR invalid_function_definition THEN\n"
        f"DROP {items[0].kind} IF EXISTS {dropped};\n{made};\nEND\n$replace$"
    )
    return (
        *(drop_functions(name, but=FUNCTIONS[name]) for name in names if name in FUNCTIONS),
        Step(title, f"{made};\n{noted}", some),
        Step(f"current text of {title}", f"{replaced};\n{noted}", f"NOT {some} OR ({current})"),
    )

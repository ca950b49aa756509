# ruff: noqa: S608 - the SQL is made of names that stand in our own model.
"""DDL as data: a step knows its statement and how the catalogue shows that it is there already.

The same steps serve the plan, a live upgrade and an SQL script for psql. A condition compares definitions,
not only names, and it is exact: whether a step has to be executed is the same before the first step as when
its turn comes. That is what lets a plan be read off the catalogue: a step that an earlier one brings about
(a column that comes with its default, a constraint that is renamed with its index) counts as done beforehand.
"""

from dataclasses import dataclass

from temporal_pipeline.defs.schema.definition.literals import canonical, canonical_sql, literal

# Of an index: p of a primary key, u of a UNIQUE constraint, x of an exclusion, null of no constraint.
_KIND_OF_KEY = (
    "(SELECT min(CAST(k.contype AS text)) FROM pg_constraint k"
    " WHERE k.conindid = c.oid AND k.contype IN ('p', 'u', 'x'))"
)


@dataclass(frozen=True)
class Step:
    """One DDL action.

    `statement` is the literal DDL (several statements are separated by `;` and run in one transaction); with
    `from_catalogue` it is a query whose rows are the DDL, where only the catalogue knows what differs.
    `done` is an SQL condition that never fails, whatever is missing. A `patient` step blocks no writer
    (CONCURRENTLY, VALIDATE): it runs outside a transaction and waits as long as it takes.
    """

    name: str
    statement: str
    done: str
    patient: bool = False
    from_catalogue: bool = False


@dataclass(frozen=True)
class Column:
    """A column; `only_new_rows` keeps old rows null although there is a default, `numbered` counts new rows."""

    name: str
    type: str
    default: str = ""
    required: bool = False
    only_new_rows: bool = False
    compression: str = ""
    numbered: bool = False

    @property
    def definition(self) -> str:
        default = f" DEFAULT {self.default}" if self.default and not self.only_new_rows else ""
        compression = f" COMPRESSION {self.compression}" if self.compression else ""
        numbered = " GENERATED ALWAYS AS IDENTITY" if self.numbered else ""
        return (
            f"{self.name} {self.type}{compression}{default}{numbered}{' NOT NULL' if self.required else ''}"
        )


@dataclass(frozen=True)
class Constraint:
    """CHECK, FOREIGN KEY, EXCLUDE or a key; with `any_name` one that the application named is as good."""

    definition: str
    name: str
    any_name: bool = False


@dataclass(frozen=True)
class Index:
    """An index; `body` is what follows the table's name."""

    name: str
    body: str
    unique: bool = False


@dataclass(frozen=True)
class Table:
    """A table of ours, or (without primary key) what we add to a table of the application.

    The name bears the schema only where that is one of ours.
    """

    name: str
    columns: tuple[Column, ...]
    primary_key: str = ""
    constraints: tuple[Constraint, ...] = ()
    indexes: tuple[Index, ...] = ()

    @property
    def all_constraints(self) -> tuple[Constraint, ...]:
        """The primary key among them."""
        if not self.primary_key:
            return self.constraints
        name = f"{self.name.rpartition('.')[2]}_pkey"
        return (Constraint(f"PRIMARY KEY ({self.primary_key})", name), *self.constraints)


def qualified(name: str, *, like: str) -> str:
    """The name, in the schema that the name of the table `like` bears."""
    schema, dot, _ = like.rpartition(".")
    return f"{schema}{dot}{name}"


def relation_exists(name: str) -> str:
    return f"to_regclass({literal(name)}) IS NOT NULL"


def index_steps(table: str, index: Index) -> tuple[Step, ...]:
    """The index: an invalid or different one of that name goes, one of another name is adopted, else made."""
    adopted = adopted_index(table, index)
    called = f"c.relname = {literal(index.name)}"
    return (
        from_catalogue(
            f"no invalid or other {index.name}",
            "SELECT format('DROP INDEX CONCURRENTLY %s', CAST(c.oid AS regclass))"
            # The index of a constraint goes and comes with that.
            f" {_indexes_of(table)} AND {called} AND NOT ({_same_index(index)}) AND {_KIND_OF_KEY} IS NULL",
            patient=True,
        ),
        from_catalogue(
            f"{index.name} by its name",
            f"SELECT format('ALTER INDEX %s RENAME TO {index.name}', CAST(c.oid AS regclass))"
            f" FROM pg_class c WHERE c.oid = {adopted} AND NOT {called}",
        ),
        Step(
            f"index {index.name}",
            create_index(table, index, "CONCURRENTLY "),
            f"{adopted} IS NOT NULL",
            patient=True,
        ),
    )


def _indexes_of(table: str) -> str:
    return (
        "FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
        f" WHERE i.indrelid = to_regclass({literal(table)})"
    )


def _same_index(index: Index) -> str:
    method_and_columns = index.body.removeprefix("USING ")
    if method_and_columns == index.body:
        method_and_columns = f"btree {index.body}"
    printed = canonical_sql("substring(pg_get_indexdef(c.oid, 0, true) FROM ' USING (.*)$')")
    return (
        f"i.indisvalid AND i.indisunique = {str(index.unique).lower()}"
        f" AND {printed} = {literal(canonical(method_and_columns))}"
    )


def adopted_index(table: str, index: Index) -> str:
    """The index that is ours already, or becomes ours by its name; rather one that bears a constraint."""
    return (
        f"(SELECT c.oid {_indexes_of(table)} AND {_same_index(index)}"
        f" ORDER BY c.relname = {literal(index.name)} DESC, {_KIND_OF_KEY}, c.relname LIMIT 1)"
    )


def create_index(table: str, index: Index, concurrently: str) -> str:
    unique = "UNIQUE " if index.unique else ""
    return f"CREATE {unique}INDEX {concurrently}{index.name} ON {table} {index.body}"


def from_catalogue(name: str, query: str, *, patient: bool = False) -> Step:
    """A step whose DDL the rows of a query are; there is nothing to do when it has none."""
    return Step(name, query, f"NOT EXISTS ({query})", from_catalogue=True, patient=patient)

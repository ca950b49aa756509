"""Text in SQL: as a literal, and definitions in a form in which equal ones are equal.

PostgreSQL 14 to 18 print a definition differently from how it was written, and from each other: in casts,
brackets and schema names.
"""

import re

_UNIMPORTANT = (
    r"::(text|character varying|double precision|jsonb|uuid)(\[\])?"
    r'|[a-z_][a-z0-9_]*\.|\.0|[\s()"]'
)
# A check whose value is null passes anyway, so that saying so makes no difference.
_UNIMPORTANT_IN_CHECKS = r"[a-z_]+ is null or |" + _UNIMPORTANT


def literal(text: str) -> str:
    """`text` as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def canonical(definition: str, *, in_check: bool = False) -> str:
    """A definition as we write it, in the form to which `canonical_sql` brings what the server prints."""
    printed = re.sub(r"\bin \(([^)]*)\)", r"= any (array[\1])", definition.lower()).replace(" like ", " ~~ ")
    return re.sub(_UNIMPORTANT_IN_CHECKS if in_check else _UNIMPORTANT, "", printed)


def canonical_sql(printed: str, *, in_check: bool = False) -> str:
    """The SQL expression that brings the text `printed`, itself SQL, to its canonical form."""
    pattern = _UNIMPORTANT_IN_CHECKS if in_check else _UNIMPORTANT
    return f"regexp_replace(lower({printed}), {literal(pattern)}, '', 'g')"

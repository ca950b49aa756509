"""Verifying a database: named claims with counts, each with its remedy."""

from typing import Literal

from temporal_pipeline.database import Database
from temporal_pipeline.operations.verification import contents, derived, periods, schema
from temporal_pipeline.operations.verification.claims import Claim, Examination, queries

__all__ = ["RULES", "Claim", "verify"]

DATA_RULES = (*contents.RULES, *periods.RULES, *derived.RULES)
RULES = (*schema.RULES, *DATA_RULES)


def verify(database: Database, *, only: Literal["schema"] | None = None) -> list[Claim]:
    """Examine every claim at one and the same moment; reads only, also beside a crawler that writes.

    Those about data are left out with `only="schema"`, and where the schema is not there that they read.
    Raises PipelineError when the server cannot be reached.
    """
    with database.transaction(read_only=True) as connection:
        connection.execute(queries["one_moment"])
        connection.execute(queries["room_for_sums"])
        examination = Examination(database, connection)
        claims = [rule.examine(examination) for rule in schema.RULES]
        if only is None and schema.data_can_be_read(connection):
            claims += [rule.examine(examination) for rule in DATA_RULES]
    return claims

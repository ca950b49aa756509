"""Examinations of what else goes on in the database."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Row

from temporal_pipeline.database import Queries
from temporal_pipeline.defs.schema.definition.model import LEGACY_TABLES
from temporal_pipeline.operations.doctor.finding import Verdict, ok, warn

queries = Queries(__package__)

# Each of our ALTERs waits for a transaction that is older than this to end.
LASTING_SECONDS = 0.3
# A migration waits as long for a lock by default before it gives up.
LONG_SECONDS = 60.0
# A client that leaves its transaction alone for so long has forgotten it, and will again.
FORGOTTEN_SECONDS = 5.0
# Past this share of its time, a table is vacuumed against wraparound before long.
NEAR_WRAPAROUND = 0.95

END_THEM = "let them end, or end one with SELECT pg_terminate_backend(PID)"


def long_transactions(connection: Connection) -> Verdict:
    """CREATE INDEX CONCURRENTLY waits for every older transaction of the database."""
    rows = connection.execute(queries["long_transactions"], {"seconds": LASTING_SECONDS}).all()
    long = [row for row in rows if row.age > LONG_SECONDS]
    if long:
        return warn(
            f"{len(long)} transactions are older than {LONG_SECONDS:.0f} s; building an index waits for them",
            END_THEM,
            _sessions(long),
        )
    if rows:
        return ok(f"{len(rows)} older than {LASTING_SECONDS} s, the oldest for {rows[0].age:.1f} s")
    return ok(f"none is older than {LASTING_SECONDS} s")


def idle_in_transaction(connection: Connection) -> Verdict:
    """A client that forgets its transactions keeps their locks."""
    rows = connection.execute(queries["idle_in_transaction"], {"seconds": FORGOTTEN_SECONDS}).all()
    if rows:
        return warn(
            f"{len(rows)} sessions have left a transaction open for more than {FORGOTTEN_SECONDS:.0f} s",
            f"correct that client, and {END_THEM}",
            _sessions(rows),
        )
    return ok("no session has forgotten a transaction")


def lock_holders(connection: Connection) -> Verdict:
    """An ALTER waits for everybody who holds a lock on its table, a reader too."""
    rows = connection.execute(
        queries["lock_holders"], {"tables": list(LEGACY_TABLES), "seconds": LASTING_SECONDS}
    ).all()
    lasting = [row for row in rows if row.age > FORGOTTEN_SECONDS]
    if lasting:
        return warn(
            f"{len(lasting)} sessions have held locks on the application's tables for more than "
            f"{FORGOTTEN_SECONDS:.0f} s; a migration waits for them",
            END_THEM,
            (f"{session}: {row.locks}" for row, session in zip(lasting, _sessions(lasting), strict=True)),
        )
    if rows:
        return ok(f"{len(rows)} sessions for more than {LASTING_SECONDS} s, at most {rows[0].age:.1f} s")
    return ok("nobody holds the application's tables for long")


def prepared_transactions(connection: Connection) -> Verdict:
    """A transaction that was prepared and forgotten holds its locks even across restarts."""
    rows = connection.execute(queries["prepared_transactions"]).all()
    if rows:
        return warn(
            f"{len(rows)} prepared transactions hold their locks until somebody decides",
            f"COMMIT PREPARED {rows[0].gid} or ROLLBACK PREPARED {rows[0].gid}",
            (f"{row.gid} of {row.owner}, {row.age:.0f} s" for row in rows),
        )
    return ok("none")


def replication_slots(connection: Connection) -> Verdict:
    """What nobody fetches fills the server's disk, and keeps vacuum from removing old row versions."""
    rows = connection.execute(queries["idle_slots"]).all()
    if rows:
        return warn(
            f"nobody reads {len(rows)} replication slots; for these the server keeps all that is written",
            f"start the reader, or SELECT pg_drop_replication_slot('{rows[0].slot_name}')",
            (
                f"{row.slot_name}, {row.slot_type}: {(row.bytes or 0) / 1e6:,.0f} MB"
                + (f", {row.transactions:,} transactions" if row.transactions is not None else "")
                for row in rows
            ),
        )
    return ok("none without a reader")


def autovacuum(connection: Connection) -> Verdict:
    """Autovacuum yields to a migration, unless it works against wraparound."""
    tables = {"tables": list(LEGACY_TABLES)}
    running = connection.execute(queries["running_autovacuum"], tables).all()
    near = connection.execute(queries["near_wraparound"], tables | {"share": NEAR_WRAPAROUND}).all()
    if unyielding := [row for row in running if row.is_unyielding]:
        return warn(
            f"autovacuum works against wraparound on {', '.join(row.name for row in unyielding)}, "
            "and yields to nobody",
            "let it finish; SELECT * FROM pg_stat_progress_vacuum shows how far it is",
            (f"pid {row.pid} on {row.name}" for row in unyielding),
        )
    if near:
        return warn(
            f"autovacuum will soon work against wraparound on {', '.join(row.name for row in near)}, "
            "and then yields to nobody",
            "; ".join(f"VACUUM (FREEZE) {row.name}" for row in near),
            (f"{row.name}: {row.age:,} of {row.most:,} transactions" for row in near),
        )
    if running:
        return ok(f"works on {', '.join(row.name for row in running)}, and yields to a migration")
    return ok("not on the application's tables")


def _sessions(rows: Iterable[Row[Any]]) -> list[str]:
    return [
        f"pid {row.pid}, {row.age:.1f} s, {row.state}, user {row.usename}, "
        f"application {row.application_name or '?'}: {row.query}"
        for row in rows
    ]

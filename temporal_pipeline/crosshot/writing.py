"""Write one batch of an export's records in one transaction."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from temporal_pipeline.crosshot.export import parse_line
from temporal_pipeline.crosshot.records import (
    TASK_STATUSES,
    Content,
    Kind,
    Record,
    Reference,
    Task,
    Topic,
    User,
    name_of,
)
from temporal_pipeline.database import Queries

queries = Queries(__package__)
FetchLater = Callable[[Iterable[Reference]], Iterator[bytes]]


@dataclass(frozen=True, slots=True)
class Entry:
    """A line with the record that it holds."""

    number: int
    raw: bytes
    record: Record


@dataclass
class Outcome:
    """What became of a batch: counts per kind, and the entries with a reference that is not there (yet).

    `drawn_in` counts rows later than the slice that something in it refers to, `inserted` includes them.
    """

    inserted: Counter[Kind] = field(default_factory=Counter)
    updated: Counter[Kind] = field(default_factory=Counter)
    unchanged: Counter[Kind] = field(default_factory=Counter)
    drawn_in: Counter[Kind] = field(default_factory=Counter)
    unresolved: list[tuple[Entry, Kind]] = field(default_factory=list)


def write(
    connection: Connection, entries: list[Entry], until: datetime | None, fetch_later: FetchLater
) -> Outcome:
    """Write the entries as they stood at `until`; each topic, user and task at most once among them.

    `fetch_later` gives the lines that are later than `until`: one that an entry refers to is written too.
    """
    outcome = Outcome()
    records, present = _with_references(connection, [entry.record for entry in entries], fetch_later)
    drawn_in = records[len(entries) :]
    known = present | {name_of(record) for record in records if isinstance(record, Topic | User)}

    def loadable(record: Record) -> bool:
        return known.issuperset(record.references)

    tasks = [record for record in records if isinstance(record, Task) and loadable(record)]
    known.update(("task", task.id) for task in tasks)
    contents = [record for record in records if isinstance(record, Content) and loadable(record)]

    _write_entities(connection, "topic", [r for r in records if isinstance(r, Topic)], outcome)
    _write_entities(connection, "user", [r for r in records if isinstance(r, User)], outcome)
    _write_tasks(connection, [task.as_of(until) for task in tasks], present, outcome)
    _write_contents(connection, contents, outcome)
    outcome.drawn_in.update(record.kind for record in drawn_in if loadable(record))
    for entry in entries:
        missing = next((reference for reference in entry.record.references if reference not in known), None)
        if missing is not None:
            outcome.unresolved.append((entry, missing[0]))
    return outcome


def _with_references(
    connection: Connection, records: list[Record], fetch_later: FetchLater
) -> tuple[list[Record], set[Reference]]:
    """The records, followed by later ones that they refer to; which named rows are in the database."""
    named = {name_of(record) for record in records if record.kind != "content"}
    present = _present(connection, named.union(*(record.references for record in records)))
    while missing := {ref for record in records for ref in record.references} - present - named:
        later = [parse_line(raw) for raw in fetch_later(missing)]
        if not later:
            break
        records = records + later
        named.update(map(name_of, later))
        present |= _present(connection, {ref for record in later for ref in record.references})
    return records, present


def _present(connection: Connection, references: set[Reference]) -> set[Reference]:
    ids = {
        f"{kind}s": [id_ for named, id_ in references if named == kind] for kind in ("topic", "user", "task")
    }
    return {(row.kind, row.id) for row in connection.execute(queries["present_rows"], ids)}


def _write_entities(
    connection: Connection, kind: Kind, records: list[Topic] | list[User], outcome: Outcome
) -> None:
    if not records:
        return
    rows = _rows(sorted(records, key=lambda record: record.id))
    inserted = len(connection.execute(queries[f"insert_{kind}s"], rows).all())
    outcome.inserted[kind] += inserted
    outcome.unchanged[kind] += len(records) - inserted


def _write_tasks(
    connection: Connection, tasks: list[Task], present: set[Reference], outcome: Outcome
) -> None:
    if not tasks:
        return
    values = _rows(tasks) | {"stages": list(TASK_STATUSES)}
    saved = set(connection.scalars(queries["save_tasks"], values))
    updated = sum(("task", id_) in present for id_ in saved)
    outcome.inserted["task"] += len(saved) - updated
    outcome.updated["task"] += updated
    outcome.unchanged["task"] += len(tasks) - len(saved)


def _write_contents(connection: Connection, contents: list[Content], outcome: Outcome) -> None:
    if not contents:
        return
    keys = list({content.key for content in contents})
    versions = {
        (row.platform, row.platform_content_id): _version(row.crawled_at, row.recrawled_at)
        for row in connection.execute(queries["known_contents"], _columns(keys))
    }
    added: dict[tuple[str, str], Content] = {}
    changed: dict[tuple[str, str], Content] = {}
    for content in contents:
        version = versions.get(content.key)
        if version is None:
            added[content.key] = content
        elif content.time > version:
            states = added if content.key in added else changed
            recrawl = content.as_recrawl()
            older = states.get(content.key)
            states[content.key] = recrawl if older is None else older.recrawled(recrawl)
            outcome.updated["content"] += 1
        else:
            outcome.unchanged["content"] += 1
            continue
        versions[content.key] = content.time
    if added:
        inserted = connection.scalar(queries["insert_contents"], _rows(_in_order(added))) or 0
        outcome.inserted["content"] += inserted
        outcome.unchanged["content"] += len(added) - inserted
    if changed:
        connection.execute(queries["update_contents"], _rows(_in_order(changed)))
    found = list(dict.fromkeys((content.task, content.key) for content in contents))
    connection.execute(
        queries["record_found_contents"],
        {"tasks": [task for task, _ in found]} | _columns([key for _, key in found]),
    )


def _in_order(contents: dict[tuple[str, str], Content]) -> list[Content]:
    """Sorted, so that two writers lock the same rows in the same order."""
    return [contents[key] for key in sorted(contents)]


def _version(crawled_at: datetime, recrawled_at: str | None) -> datetime:
    """When the state that is there was crawled; what is not a replay's own mark counts for nothing."""
    try:
        return max(crawled_at, datetime.fromisoformat(recrawled_at or ""))
    except (ValueError, TypeError):
        return crawled_at


def _columns(keys: list[tuple[str, str]]) -> dict[str, list[str]]:
    return {"platforms": [platform for platform, _ in keys], "keys": [key for _, key in keys]}


def _rows(records: Iterable[Record]) -> dict[str, Any]:
    return {"rows": json.dumps([record.row() for record in records], ensure_ascii=False)}

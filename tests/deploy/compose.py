"""Compose files as `docker compose` reads them: anchors, `!reset` and `!override`, several files merged."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from temporal_pipeline.settings import PROJECT_ROOT

BASE = PROJECT_ROOT / "docker-compose.yml"
ATTACH = PROJECT_ROOT / "deploy" / "docker-compose.attach.yml"
ENVIRONMENT = PROJECT_ROOT / "deploy" / "docker-compose.environment.yml"
ALERTS = PROJECT_ROOT / "deploy" / "docker-compose.alerts.yml"
# What a later file replaces rather than adds to.
REPLACED = ("command", "entrypoint", "test")


class _Reset:
    """Takes the value of an earlier file away."""


class _Override(dict[str, Any]):
    """Replaces the value of an earlier file instead of being merged into it."""


class _Loader(yaml.SafeLoader):
    pass


_Loader.add_constructor("!reset", lambda loader, node: _Reset())
_Loader.add_constructor(
    "!override", lambda loader, node: _Override(loader.construct_mapping(node, deep=True))
)


def model(*files: Path, variables: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The model that the files make together, with variables of the environment filled in.

    Raises KeyError for a variable that has no default and is not given.
    """
    result: dict[str, Any] = {}
    for file in files:
        result = _merged(result, yaml.load(file.read_text(encoding="utf-8"), _Loader))
    return _interpolated(result, variables or {})  # type: ignore[no-any-return]


def started(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The services that `docker compose up` starts."""
    return {name: one for name, one in compose["services"].items() if not one.get("profiles")}


def _merged(earlier: dict[str, Any], later: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(earlier)
    for key, value in later.items():
        if isinstance(value, _Reset):
            result.pop(key, None)
        elif isinstance(value, _Override):
            result[key] = dict(value)
        elif isinstance(value, dict):
            result[key] = _merged(result.get(key) or {}, value)
        elif isinstance(value, list) and isinstance(result.get(key), list) and key not in REPLACED:
            result[key] = [*result[key], *(entry for entry in value if entry not in result[key])]
        else:
            result[key] = value
    return result


def _interpolated(value: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _interpolated(entry, variables) for key, entry in value.items()}
    if isinstance(value, list):
        return [_interpolated(entry, variables) for entry in value]
    if isinstance(value, str):
        return re.sub(r"\$\{(\w+)(?::([-?])([^}]*))?\}", lambda found: _variable(found, variables), value)
    return value


def _variable(found: re.Match[str], variables: Mapping[str, str]) -> str:
    name, kind, words = found.groups()
    if value := variables.get(name):
        return value
    if kind == "-":
        return words
    raise KeyError(f"{name}: {words}")


def without_secrets_of_ours() -> dict[str, str]:
    """This process's environment without what would tell a program which databases to use."""
    told = re.compile(r"DATABASE_URL|PG[A-Z]+$|DAGSTER_|TEMPORAL_PIPELINE_")
    return {name: value for name, value in os.environ.items() if not told.search(name)}

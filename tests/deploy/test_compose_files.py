"""The compose files: valid, closed to the outside, without a default password."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from temporal_pipeline.settings import PROJECT_ROOT
from tests.deploy.compose import ALERTS, ATTACH, BASE, ENVIRONMENT, model, started

ATTACHED = {"CROSSHOT_NETWORK": "crosshot_default"}
PROGRAMS = {"migrate", "code", "webserver", "viewer", "daemon"}

MODELS = {
    "alone": model(BASE),
    "attached": model(BASE, ATTACH, variables=ATTACHED),
    "secrets from the environment": model(BASE, ENVIRONMENT),
    "with alerts": model(BASE, ALERTS),
    "attached, secrets from the environment": model(BASE, ATTACH, ENVIRONMENT, variables=ATTACHED),
}
each = pytest.mark.parametrize("compose", MODELS.values(), ids=MODELS.keys())


@each
def test_it_is_what_the_specification_allows(compose: dict[str, Any], tmp_path: Path) -> None:
    def complaints() -> str:
        file = tmp_path / "compose.yml"
        file.write_text(yaml.safe_dump(compose))
        command = (sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", file)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return "" if done.returncode == 0 else done.stdout + done.stderr

    assert complaints() == ""
    compose = compose | {"services": compose["services"] | {"another": {"mem_limits": "1g"}}}
    assert "mem_limits" in complaints()


@each
def test_what_is_started(compose: dict[str, Any]) -> None:
    server = set() if "external" in compose.get("networks", {}).get("default", {}) else {"postgres"}
    assert set(started(compose)) == PROGRAMS | server


@each
def test_services_wait_only_for_what_is_started(compose: dict[str, Any]) -> None:
    services = started(compose)
    for name, service in services.items():
        for other, condition in service.get("depends_on", {}).items():
            assert other in services, name
            if condition["condition"] == "service_healthy":
                assert "healthcheck" in services[other]


@each
def test_every_service_is_limited_and_comes_back(compose: dict[str, Any]) -> None:
    for name, service in started(compose).items():
        assert service["deploy"]["resources"]["limits"]["memory"], name
        assert service["logging"] == {"driver": "local"}, name
        if name == "migrate":
            assert service["restart"] == "no"
        else:
            assert service["restart"] == "unless-stopped", name
            assert service["healthcheck"]["test"][0] == "CMD", name


@each
def test_only_webservers_are_published_and_only_to_this_machine(compose: dict[str, Any]) -> None:
    published = {name: service["ports"] for name, service in started(compose).items() if "ports" in service}
    assert published == {"webserver": ["127.0.0.1:3000:3000"], "viewer": ["127.0.0.1:3001:3000"]}
    viewer = started(compose)["viewer"]
    assert "--read-only" in viewer["command"]
    assert "--read-only" not in started(compose)["webserver"]["command"]


@each
def test_passwords_come_from_secrets_only(compose: dict[str, Any]) -> None:
    for name, service in started(compose).items():
        mounted = {f"/run/secrets/{secret}" for secret in service["secrets"]}
        for variable, value in service["environment"].items():
            assert "PASSWORD" not in variable or variable.endswith("_FILE"), (name, variable)
            assert not variable.endswith("_FILE") or value in mounted, (name, variable)
            assert "://" not in value or ":" not in value.split("://")[1].split("@")[0], (name, variable)
    for name, secret in compose["secrets"].items():
        assert secret in ({"file": f"secrets/{name}"}, {"environment": name.upper()})


def test_who_only_looks_gets_no_other_role() -> None:
    viewer = MODELS["alone"]["services"]["viewer"]
    assert viewer["secrets"] == ["analyst_password"]
    assert "DATABASE_URL" not in viewer["environment"]
    assert "://analyst@" in viewer["environment"]["DAGSTER_DATABASE_URL"]


def test_the_server_is_of_the_major_version_whose_programs_are_in_the_image() -> None:
    dockerfile = (PROJECT_ROOT / "Dockerfile").read_text()
    image = MODELS["alone"]["services"]["postgres"]["image"]
    assert f"ARG POSTGRES_MAJOR={image.partition(':')[2].partition('-')[0]}\n" in dockerfile


@each
def test_what_is_mounted_is_there(compose: dict[str, Any]) -> None:
    for service in started(compose).values():
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            assert (
                (PROJECT_ROOT / source).exists() if source.startswith(".") else source in compose["volumes"]
            )


def test_the_network_to_attach_to_has_to_be_named() -> None:
    with pytest.raises(KeyError, match="CROSSHOT_NETWORK"):
        model(BASE, ATTACH)

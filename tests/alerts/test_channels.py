"""Channels are read from one setting; what is wrong with it is said without repeating it."""

import pytest
from pydantic import SecretStr

from temporal_pipeline.alerts import channels_of
from temporal_pipeline.alerts.channels import Form
from temporal_pipeline.errors import PipelineError


def test_several_channels() -> None:
    setting = SecretStr(
        "ops=slack+https://hooks.slack.com/services/T/B/X\n log=json+http://127.0.0.1:9000/?a=b,c"
    )
    ops, log = channels_of(setting)
    assert (ops.name, ops.form, ops.url.get_secret_value()) == (
        "ops",
        Form.SLACK,
        "https://hooks.slack.com/services/T/B/X",
    )
    assert (log.name, log.form, log.url.get_secret_value()) == (
        "log",
        Form.JSON,
        "http://127.0.0.1:9000/?a=b,c",
    )
    assert "hooks" not in repr(ops)


@pytest.mark.parametrize("setting", [None, SecretStr(" ")])
def test_no_channel(setting: SecretStr | None) -> None:
    assert channels_of(setting) == ()


@pytest.mark.parametrize(
    "entry",
    [
        "https://example.org/hush1",
        "ops=https://example.org/hush1",
        "ops=teams+https://example.org/hush1",
        "=json+https://example.org/hush1",
        "ops=json+file:///hush1",
        "ops=json+https:///hush1",
        "ops=json+https://me:hush1@example.org/",
        "ops=json+https://example.org:hush1/",
        "ops=json+https://[hush1/",
        "ops=json+https://example.org/hush1é",
        "ops=json+https://example.org/hush1\x01",
    ],
)
def test_what_is_no_webhook(entry: str) -> None:
    with pytest.raises(PipelineError, match="entry 2 is not a webhook") as refused:
        channels_of(SecretStr(f"log=json+http://127.0.0.1/ {entry}"))
    assert refused.value.exit_code == 2
    assert "hush" not in str(refused.value)


def test_a_name_is_given_once() -> None:
    with pytest.raises(PipelineError, match="ops is there twice"):
        channels_of(SecretStr("ops=json+http://a/ ops=slack+http://b/"))

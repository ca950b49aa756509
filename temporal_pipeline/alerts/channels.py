"""Where alerts go: channels from the environment, each with a name, a form, and an address that is a secret."""

import re
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

from pydantic import SecretStr

from temporal_pipeline.errors import PipelineError

VARIABLE = "TEMPORAL_PIPELINE_ALERT_WEBHOOKS"
_ENTRY = re.compile(r"(?P<name>[A-Za-z0-9_.-]{1,40})=(?P<form>json|slack)\+(?P<url>https?://[!-~]+)")


class Form(StrEnum):
    """What a receiver understands."""

    JSON = "json"
    SLACK = "slack"


@dataclass(frozen=True)
class Channel:
    """A webhook. Only its name is ever stored or shown."""

    name: str
    form: Form
    url: SecretStr


def channels_of(setting: SecretStr | None) -> tuple[Channel, ...]:
    """The channels of `NAME=json+URL` and `NAME=slack+URL`, separated by spaces or lines.

    Raises PipelineError (exit code 2) that names the position of what cannot be one, and never repeats it.
    """
    entries = [] if setting is None else setting.get_secret_value().split()
    channels: dict[str, Channel] = {}
    for position, entry in enumerate(entries, 1):
        matched = _ENTRY.fullmatch(entry)
        if matched is None or not _is_address(matched["url"]):
            raise PipelineError(
                f"{VARIABLE}: entry {position} is not a webhook",
                hint="give NAME=json+https://HOST/PATH or NAME=slack+https://HOST/PATH, "
                "several separated by spaces",
                exit_code=2,
            )
        channel = Channel(matched["name"], Form(matched["form"]), SecretStr(matched["url"]))
        if channel.name in channels:
            raise PipelineError(
                f"{VARIABLE}: {channel.name} is there twice", hint="give each a name of its own", exit_code=2
            )
        channels[channel.name] = channel
    return tuple(channels.values())


def _is_address(url: str) -> bool:
    """Whether it names a host, and a port if any, and no user: the client would take that for the host."""
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        return False

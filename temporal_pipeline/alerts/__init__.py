"""Who is told what: an outbox that is filled with what happens, and its delivery to webhooks."""

from temporal_pipeline.alerts.channels import Channel, channels_of
from temporal_pipeline.alerts.delivery import Attempt, deliver, preview
from temporal_pipeline.alerts.outbox import Alert, record

__all__ = ["Alert", "Attempt", "Channel", "channels_of", "deliver", "preview", "record"]

"""What makes an event: arrays and times in, findings out; no database, no Dagster."""

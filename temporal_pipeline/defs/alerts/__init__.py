"""Telling people: what Dagster knows goes into the outbox, and the outbox to the webhooks."""

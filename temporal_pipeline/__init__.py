"""Temporal memory for a crawler's PostgreSQL database, as a Dagster project."""

__version__ = "0.2.0"

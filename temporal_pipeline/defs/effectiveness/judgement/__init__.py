"""What a query is worth, from counts alone: no database, no Dagster."""

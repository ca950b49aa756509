"""What a backfill would create, before anything is there to create it with."""

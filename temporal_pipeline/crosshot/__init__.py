"""The system that the pipeline attaches to: its legacy schema, its crawl exports, and demo data."""

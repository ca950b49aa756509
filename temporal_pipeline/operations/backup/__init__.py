"""Backups of the application's database, proven before they are trusted, and the way back to one."""

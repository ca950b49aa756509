"""README.md and docs/ as a reader takes them: what is printed as a command is run."""

"""The questions to the timeline as tools of the Model Context Protocol; needs the extra `mcp`."""

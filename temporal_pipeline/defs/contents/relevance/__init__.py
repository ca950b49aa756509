"""How relevant a post is to its topic or user: pure functions of texts and numbers."""

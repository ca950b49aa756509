"""What an operator does around the graph: examine a server, back up, verify, roll back."""

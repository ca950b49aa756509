"""When contents were published and how relevant they are to their topic."""

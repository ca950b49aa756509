"""Events: when an entity is talked about far more than usual, with its lifecycle and its evidence."""

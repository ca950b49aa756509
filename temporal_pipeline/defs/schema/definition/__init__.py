"""What a database at head has, as data: tables, columns, constraints, indexes, views, functions."""

"""One module per figure that the README or the docs claim; `python -m benchmarks.NAME [--json]`.

`graph`: the whole graph over synthetic contents. `migrate`: what a writer notices of a migration. `kills`: what
is left after an interruption anywhere. `live` and `writing` are what they share: a synthetic application in
a database that is thrown away, and a process that goes on writing to it.

They use the server of DATABASE_URL, else an embedded one of their own.
"""

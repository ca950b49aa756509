"""One module per figure that the README or the docs claim; `python -m benchmarks.NAME [--json]`.

`graph`: the whole graph over synthetic contents. `query`: what a question takes on a long history. `migrate`: what a
writer notices of a migration. `kills`: what is left after an interruption anywhere. `relevance`: how well scores agree
with what people said of posts, beside the simpler methods of `baselines`; it needs a crawl export with its truth, and
no database. `ui`: what `make ui` takes. `live` and `writing` are what they share: a synthetic application in a database
that is thrown away, and a process that goes on writing to it.

Those with a database use the server of DATABASE_URL, else an embedded one of their own.
"""

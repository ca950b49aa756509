"""One module per figure that the README or the docs claim; `python -m benchmarks.NAME`."""

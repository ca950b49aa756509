"""`python -m temporal_pipeline.cli`, for where the script is not installed."""

from temporal_pipeline.cli import main

if __name__ == "__main__":
    main()

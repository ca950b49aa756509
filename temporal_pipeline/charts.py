"""Pictures for metadata: figures without global state, as Markdown with the image inside."""

import base64
import io
import warnings
from typing import TYPE_CHECKING

import dagster as dg

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INCHES = (8.0, 2.8)
DOTS_PER_INCH = 100


def new_figure(width: float = INCHES[0], height: float = INCHES[1]) -> "Figure":
    """An empty figure, in inches. It belongs to no window and nobody has to close it."""
    # Not at import: matplotlib then looks through the machine's fonts and writes a cache.
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def figure_to_markdown(figure: "Figure", alt: str = "chart") -> dg.MarkdownMetadataValue:
    """The figure as an inline PNG, which Dagster's UI shows; `alt` says in words what it shows."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # Names may be in scripts that the fonts at hand lack; a box instead of a letter is good enough.
        warnings.filterwarnings("ignore", message=".*[Gg]lyph")
        figure.savefig(buffer, format="png")
    words = alt.replace("[", "(").replace("]", ")").replace("\n", " ")
    return dg.MetadataValue.md(
        f"![{words}](data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()})"
    )

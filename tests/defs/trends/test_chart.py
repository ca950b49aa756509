"""The picture: drawable for whatever periods and events there are."""

from datetime import timedelta

import pytest

from temporal_pipeline.charts import figure_to_markdown
from temporal_pipeline.defs.trends.chart import Happening, Panel, Rate, draw
from tests.crosshot_rows import at

HOURLY = [Rate(at(hour), at(hour + 1), 2.0 + hour) for hour in range(5)]
TINY = [Rate(at(0), at(0) + timedelta(minutes=1), 0.0)]
EVENTS = [Happening(at(2), "warning", True), Happening(at(3), "unheard of", False)]


@pytest.mark.parametrize("count", [1, 2, 3, 6])
def test_each_entity_gets_a_panel_with_its_periods_and_events(count: int) -> None:
    figure = draw([Panel(f"topic {number}", HOURLY, EVENTS) for number in range(count)])
    assert [axes.get_title(loc="left") for axes in figure.axes] == [f"topic {n}" for n in range(count)]
    for axes in figure.axes:
        assert [bar.get_height() for bar in axes.containers[0]] == [2, 3, 4, 5, 6]
        assert [line.get_markerfacecolor() != "none" for line in axes.lines] == [True, False]


@pytest.mark.parametrize(
    "panels", [[], [Panel("topic $AAPL and $TSLA", TINY, [])], [Panel("topic 人工智能", HOURLY, EVENTS)]]
)
def test_any_panel_becomes_an_image(panels: list[Panel]) -> None:
    assert figure_to_markdown(draw(panels), "trend").value.startswith("![trend](data:image/png;base64,")

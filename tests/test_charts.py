"""Pictures inside Markdown."""

import base64

from temporal_pipeline.charts import figure_to_markdown, new_figure


def test_a_figure_becomes_an_inline_png_whatever_its_script():
    figure = new_figure()
    figure.add_subplot().set_title("智能体 𒀀")
    shown = figure_to_markdown(figure, "posts [per\nhour]").md_str
    assert shown is not None
    alt, image = shown.split("](data:image/png;base64,")
    assert alt == "![posts (per hour)"
    assert base64.b64decode(image.removesuffix(")")).startswith(b"\x89PNG")

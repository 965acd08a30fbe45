"""Charts written as SVG, to stand inside a page or alone."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from tunesmith.components.charts.shapes import Chart

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

COLOURS = ("#3f7cac", "#e4572e", "#2a8f5b", "#8a5fbf")
"""Of the series of a chart, in turn."""


def draw(chart: Chart) -> Markup:
    """Return the SVG element of a chart, for a page; titles and labels are escaped."""
    from markupsafe import Markup

    template = charts_environment().get_template("chart.html")
    return Markup(template.render(chart=chart, plane=chart.plane, colours=COLOURS))


@cache
def charts_environment() -> Environment:
    """Return the environment of the templates of this package."""
    from jinja2 import Environment, PackageLoader, select_autoescape

    return Environment(
        loader=PackageLoader("tunesmith.components.charts", "templates"),
        autoescape=select_autoescape(),
        trim_blocks=True,
        lstrip_blocks=True,
    )

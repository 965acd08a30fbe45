"""The page of the parameters is that of the declarations."""

from __future__ import annotations

import re
from pathlib import Path

from tunesmith.cli.derived_options import component_options
from tunesmith.cli.parameters_page import page
from tunesmith.pipeline.dag import COMPONENTS

PAGE = Path(__file__).parents[2] / "docs" / "parameters.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text("utf-8") == page(), "make docs writes it"


def test_every_parameter_has_a_row_of_seven_cells() -> None:
    rows = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| `")]
    by_option = {
        cells[2].strip(): cells
        for cells in (re.split(r"\|", row)[1:-1] for row in rows)
        if len(cells) == 7
        for cells in [["", *cells]]
    }
    for component in COMPONENTS:
        for option in component_options(component.name):
            cells = by_option[f"`{option.opts[0]}`"]
            assert cells[1].strip() == f"`{option.key.partition('.')[2]}`"
            assert cells[3].strip() == f"`{option.default_text}`"

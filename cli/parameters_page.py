"""The page docs/parameters.md, generated from the declarations of all parameters.

``make docs`` writes it by ``python -m tunesmith.cli.parameters_page FILE``; a test compares it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from tunesmith.cli.derived_options import default_text, help_text, owners_text
from tunesmith.components.component import Component, ParameterField
from tunesmith.pipeline.configuration_keys import (
    RUN_KEYS,
    option_name,
    parameters_by_key,
    table_name,
)
from tunesmith.pipeline.dag import COMPONENTS

_TOP = """\
# Parameters

`make docs` generates this page from the declarations of the parameters.

The options belong to `tunesmith run` and to `tunesmith component NAME`; those of ExampleGen and
Transform to `tunesmith preprocess` as well. In a configuration file a parameter is a key in the
table of its component, and a parameter whose name has dots is a key in a nested table:
`schedule.shape` of the Trainer is `shape` in `[trainer.schedule]`. `--set` of `tunesmith component`
takes the same names. [configuration.md](configuration.md) describes the file, the environment
variables and the order of precedence.

A parameter with "no" in the last column does not change the artifact: changing it executes nothing
again. The value `none` unsets a parameter that is optional.

## A run

Keys of the file that apply to the run as a whole.

| key | option | help |
| --- | --- | --- |
"""

_HEAD = """\
| parameter | option | default | bounds | unit | help | affects the result |
| --- | --- | --- | --- | --- | --- | --- |
"""


def page() -> str:
    """Return the page as Markdown."""
    run = "".join(
        _row(f"`{key}`", f"`{field.declared.option or '--'}`", field.declared.help)
        for key, field in RUN_KEYS.items()
    )
    return _TOP + run + "".join(_component(each) for each in COMPONENTS)


def _component(component: Component[Any, Any, Any]) -> str:
    name = table_name(component.name)
    rows = "".join(
        _parameter(component.name, key, fields)
        for key, fields in parameters_by_key(component.name).items()
    )
    return f"\n## {component.name}\n\nTable `[{name}]`.\n\n{_HEAD}{rows}"


def _parameter(component: str, key: str, fields: tuple[ParameterField, ...]) -> str:
    field = fields[0]
    declared = field.declared
    owners = owners_text(key, fields)
    return _row(
        f"`{field.name}`",
        f"`{option_name(component, field)}`",
        f"`{default_text(fields)}`",
        declared.choices_text() or declared.range(),
        declared.unit,
        f"{help_text(fields)} ({owners})" if owners else help_text(fields),
        "yes" if declared.affects_result else "no",
    )


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), "utf-8")

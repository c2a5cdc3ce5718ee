"""What there is, and what is right or wrong with it: scenarios, faults, the schema; making scenarios of maps."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from scenarios.load import InputError

from .answers import AsJson, Set, show, write


def scenarios(*, json_: AsJson = False) -> int:
    """List the built-in scenarios and their parameters.

    Parameters
    ----------
    json_
        Print the list as JSON.
    """
    from scenarios.load import built_in, load  # noqa: PLC0415

    found = {name: load(name)[0] for name in built_in()}
    entries = [{"name": n, "description": s.description, "parameters": s.parameters} for n, s in found.items()]
    lines = (
        f"{name}\n  {' '.join(scenario.description.split())}\n  "
        + "  ".join(f"{key}={value}" for key, value in scenario.parameters.items())
        for name, scenario in found.items()
    )
    return show({"scenarios": entries}, lines, as_json=json_)


def check(file: str, *, set_: Set = (), json_: AsJson = False) -> int:
    """Check a scenario file: all that is wrong, with line, key and what would be right.

    Parameters
    ----------
    file
        A TOML file, or the name of a built-in scenario.
    set_
        KEY=VALUE, as for `qie run`.
    json_
        Print the result as JSON.
    """
    from scenarios.run import prepare  # noqa: PLC0415

    try:
        scenario, plan, _ = prepare(file, set_)
    except InputError as error:
        if json_:
            print(json.dumps({"file": file, "errors": error.lines}, indent=2))
            return 2
        raise
    figures = {"nodes": len(plan.nodes), "links": len(plan.links), "demands": len(plan.demands)}
    counts = (f"{count} {what if count != 1 else what.removesuffix('s')}" for what, count in figures.items())
    right = f"{scenario.name} is right: " + ", ".join(counts)
    return show({"file": file, "errors": [], **figures}, [right], as_json=json_)


def import_(
    file: str, *, end_nodes: int = 1, out: Annotated[str, Parameter(name="--out", allow_leading_hyphen=True)] = "-"
) -> int:
    """Make a scenario from a GraphML file: a hub with end nodes for each node, a link for each edge.

    Parameters
    ----------
    file
        A GraphML file, such as those of the Topology Zoo.
    end_nodes
        End nodes at each hub, 5 km from it.
    out
        Write the scenario to this file (- for standard output).
    """
    if not 1 <= end_nodes <= 100_000:
        raise InputError([f"--end-nodes {end_nodes}: expected a whole number from 1 to 100000"])
    from scenarios import graphml  # noqa: PLC0415  (keeps --help fast)

    text = graphml.scenario_text(graphml.read(Path(file)), source=file, end_nodes=end_nodes)
    write("--out", out, text.rstrip("\n"))
    return 0


def faults(*, json_: AsJson = False) -> int:
    """List the kinds of faults, what they act on, and their attributes.

    Parameters
    ----------
    json_
        Print the list as JSON.
    """
    from scenarios.faults import known  # noqa: PLC0415

    found = known()
    lines = (line for kind in found for line in _about(kind))
    return show({"faults": found}, lines, as_json=json_)


def _about(kind: dict[str, Any]) -> Iterator[str]:
    yield f"{kind['kind']}:{kind['example']}\n  {kind['description']}"
    for attribute in kind["attributes"]:
        yield f"  {attribute['name']}={attribute['default']}  {attribute['meaning']}; {attribute['values']}"


def schema() -> int:
    """Print the JSON Schema of scenario files, for editors."""
    from scenarios.schema import Scenario  # noqa: PLC0415

    print(json.dumps(Scenario.model_json_schema(), indent=2))
    return 0

"""The `advice` command: what figures can tell about the order of steps.

Knows how advice looks in a terminal. Must not know how it is found.
"""

import json

import click

from otp_service.bootstrap.operations import Operations
from otp_service.cli.session import on_store

_MOST = 20


@click.command
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@on_store
def advice(base: Operations, *, as_json: bool) -> None:
    """Say which order of steps verifies more people.

    Two orders are compared only where a route has a split. Nothing changes by itself.
    """
    found = base.figures.advise(base.policy_in_force())
    if as_json:
        print(json.dumps(found, indent=2))
        return
    lines = [order["text"] for order in found["orders"]]
    print("\n".join(lines) if lines else "no route has several channels, so there is no order to choose")
    for step in found["steps"][:_MOST]:
        where = f"{step['channel']} in {step['country']}, {step['message']} messages of route {step['route']}"
        interval = f"95 % interval {step['low']:.1%} to {step['high']:.1%}"
        print(f"  {where}: {step['share']:.1%} typed ({interval}), n = {step['n']:,}")

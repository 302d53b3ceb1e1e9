"""The `policy` command: operators show the policy, change it, and ask what a number would get.

Knows options and how answers look in a terminal. Must not know how versions are kept.
Start with `versions.py`; `check.py` needs neither settings nor a store, and imports neither.
"""

import click

from otp_service.cli.groups import CommandFile, LazyGroup
from otp_service.cli.options import demo_option

_LINES = {
    "check": "Report every mistake in a policy, with its line.",
    "apply": "Put a policy in force.",
    "show": "Print the policy in force, or an earlier version.",
    "history": "List the newest versions: when, who, why.",
    "rollback": "Put an earlier version in force again.",
    "diff": "Show what changed from one version to another, or to a file.",
    "simulate": "Say what a number would get and why.",
}
_IN_OWN_FILE = {"check", "simulate"}
_FILES = {
    name: CommandFile(f"{__name__}.{name if name in _IN_OWN_FILE else 'versions'}", line)
    for name, line in _LINES.items()
}


@click.group(cls=LazyGroup, files=_FILES)
@demo_option
def policy() -> None:
    """Show the policy, change it, ask what a number would get."""

"""A cell of the figures: what is counted, and of which app, country, channel, account, route and arm.

Pure. Knows how a cell is named in the store. Must not know what is counted when.
"""

from typing import NamedTuple

DIMENSIONS = ("app", "country", "channel", "account", "route", "arm")
"""By these, figures can be broken down. All figures are counted by all of them, so all breakdowns have one sum."""
OTHERS = "*"
"""Each dimension of a cell that holds what was too much to be told apart."""
_LONGEST = 48


class Cell(NamedTuple):
    """One counter. A dimension is empty where it is not known, or has no meaning for what is counted."""

    what: str
    detail: str
    app: str
    country: str
    channel: str
    account: str
    route: str
    arm: str

    @property
    def name(self) -> str:
        """The counter's name in the store."""
        return "|".join(part.replace("|", "/")[:_LONGEST] for part in self)

    def among_others(self) -> "Cell":
        """Return the cell that counts the same of all that are not told apart."""
        return Cell(self.what, self.detail, *(OTHERS for _ in DIMENSIONS))


def read_cell(name: str) -> Cell:
    """Read the name of a counter."""
    return Cell(*name.split("|"))

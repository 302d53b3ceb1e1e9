"""Something that needs a person.

Pure. Must not know where a state is read.
"""

from dataclasses import dataclass
from typing import Literal

Severity = Literal["critical", "warning"]
Page = Literal["find", "upstreams", "blocks"]
Kind = Literal[
    "workers_gone",
    "breaker_open",
    "reports_stopped",
    "deliveries_late",
    "hashing_queue",
    "balance_low",
    "conversion_fell",
    "refused_by",
]


@dataclass(frozen=True, slots=True)
class Alert:
    """A state that needs a person: its kind, what it is about, a sentence, and the page of the console with its rows.

    Kind and subject together say which alert it is, for as long as the state lasts. No subject names a person.
    """

    kind: Kind
    subject: str
    severity: Severity
    text: str
    page: Page

    @property
    def key(self) -> str:
        """Name the alert among all."""
        return f"{self.kind}:{self.subject}"

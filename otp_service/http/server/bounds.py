"""How long a client may take, and how much it may take.

Knows figures alone.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bounds of one process, in seconds, connections and bytes."""

    request: float = 10
    """For a whole request to come, headers and body; and for its answer to be taken."""
    idle: float = 75
    """Between requests: longer than proxies keep a connection, so that it is the proxy that closes."""
    stopping: float = 5
    """For the next request on an idle connection, when the process stops. One that crosses with the close is lost, so
    this is longer than a client in use waits; and it is below the time that a process has to end."""
    lingering: float = 2
    """In which what follows a refusal is thrown away, so that the client can read the refusal."""
    waiting: float = 5
    """For a request to wait for a thread. After that its client has given up, or soon will."""
    answering: float = 60
    """For a call of the application: each ends much earlier by limits of its own, so one that does not is stuck."""
    holding: float = 1
    """For a refusal whose client came back before the time that it was told."""
    held: int = 1024
    """Of such refusals that wait at once; beyond that they end their connection."""
    connections: int = 4096
    buffered: int = 32 * 1024 * 1024
    """Of unfinished requests and unread answers."""
    queued: int = 32 * 1024 * 1024
    """Of requests that wait for a thread."""


USUAL = Bounds()

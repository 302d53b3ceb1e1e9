"""A note: one thing that happened to a send or a challenge.

Pure. Holds a number only in memory, and never a code. Must not know who listens.
"""

from dataclasses import dataclass, field
from enum import StrEnum


class What(StrEnum):
    """What happened. A send that is no repetition is ASKED, and then one of ADMITTED, HUMAN_CHECK and REFUSED.

    If its app has an endpoint that decides, DECIDED may come between.
    """

    ASKED = "asked"
    """An app asked for a new challenge."""
    DECIDED = "decided"
    """The app's endpoint was asked; `result` is what follows, `reason` why the policy decided instead, if it did."""
    ADMITTED = "admitted"
    """The challenge was stored and its first message scheduled; `result` is the guard's verdict, allow or cheap."""
    REFUSED = "refused"
    """A send, resend or fallback was refused; `reason` is the problem's code, `rule` the guard's rule."""
    HUMAN_CHECK = "human_check"
    """The guard asked for a human check first, or did not accept its proof: see `reason`."""
    SENT = "sent"
    """A message left for an account; `result` is accepted, or unknown if no answer came."""
    NOT_SENT = "not_sent"
    """An account did not take a message; `result` is refused or deferred."""
    SKIPPED = "skipped"
    """A step of the plan was passed over; `reason` is its condition, or no_account."""
    FELL_BACK = "fell_back"
    """The next step follows; `channel` is the one given up, `following` the next."""
    REPORTED = "reported"
    """A delivery report changed a delivery's status to `result`."""
    DROPPED = "dropped"
    """A message was not sent, because too little time was left to type its code."""
    GUESSED = "guessed"
    """A code was checked; `result` is right, wrong, repeated, or why it was not compared."""
    RESENT = "resent"
    """The person asked for another message."""
    ENDED = "ended"
    """The challenge ended; `result` is its state."""
    REDEEMED = "redeemed"
    """The app spent the token of a proof."""
    TOLD = "told"
    """An event was queued for the app; `reason` is its type."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """One thing that happened, with all that costs nothing to tell. Its repr shows no number.

    `at` is the store's time in milliseconds, 0 for now. A note of a send that opened no challenge has only a
    `request_id`. `place` is that of the delivery in its challenge, from 0. A guard's `counter` is beyond its
    `threshold` within `window` seconds. `seconds` are from sending to the code, or how long an answer took. `price` is
    what the message cost, in the unit of the guard's money. `token` is the `jti` of a proof. `word` is the upstream's
    own word, `before` the status that a report overruled; it is `first` if no message of the challenge had arrived
    before. `arm` is the half of a split to which the person was
    assigned. `plan` lists steps as `channel:account+account`.
    """

    what: What
    at: int = 0
    challenge: str = ""
    request_id: str = ""
    app: str = ""
    country: str = ""
    number: str = field(default="", repr=False)
    purpose: str = ""
    reference: str = ""
    token: str = field(default="", repr=False)
    origin: str = ""
    known: str = ""
    route: str = ""
    arm: str = ""
    policy: int = 0
    plan: str = ""
    channel: str = ""
    following: str = ""
    account: str = ""
    place: int | None = None
    result: str = ""
    before: str = ""
    first: bool = False
    reason: str = ""
    rule: str = ""
    word: str = ""
    counter: float | None = None
    threshold: float | None = None
    window: float | None = None
    seconds: float | None = None
    price: float | None = None

"""Review numbers: operators add them to the policy in force, list and remove them.

The policy is edited as text, as for apps. Knows what an entry says. Must not know HTTP, a terminal or Redis. A code is
drawn here, returned once, and nowhere stored.
"""

import re
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from otp_service import phone
from otp_service.crypto.code_hashes import Claim, Hasher, draw
from otp_service.errors import Invalid, NotFound
from otp_service.ops.apps import verified, without_tables
from otp_service.ops.policy_changes import Applied, PolicyChanges
from otp_service.ops.policy_text import inline, quoted
from otp_service.policy import Policy
from otp_service.policy.review import LONGEST, Review


@dataclass(frozen=True, slots=True, kw_only=True)
class NewReview:
    """A review number to add: for an app, some purposes, and so many days."""

    app: str
    number: str
    purposes: Sequence[str]
    days: int


@dataclass(frozen=True, slots=True)
class Listed:
    """A review number of an app, with its entry and whether its time has not come or is over."""

    app: str
    number: str
    review: Review
    is_over: bool


class ReviewNumbers:
    """Adds and removes review numbers. Methods raise StoreUnavailable, and what `PolicyChanges.edit` raises."""

    def __init__(self, *, changes: PolicyChanges, hasher: Hasher, clock: Callable[[], int]) -> None:
        """`clock` gives the store's time in milliseconds."""
        self._changes = changes
        self._hasher = hasher
        self._clock = clock

    def add(self, new: NewReview, *, digits: int, by: str, reason: str) -> tuple[Applied, str]:
        """Add a number and return its code, which has so many digits. Raises Invalid, InvalidNumber or NotFound."""
        if not 0 < new.days <= LONGEST:
            raise Invalid({"days": [f"must be from 1 to {LONGEST}"]})
        number = phone.parse(new.number).e164
        code, scheme = draw(digits), self._hasher.scheme
        since = day_of(self._clock())
        written = {
            "code": f"{scheme} {self._hasher.hash_here(code, Claim.of_review(new.app, number), scheme)}",
            "digits": digits,
            "purposes": list(dict.fromkeys(new.purposes)),
            "since": since.isoformat(),
            "expires": (since + timedelta(days=new.days)).isoformat(),
        }
        applied = self._changes.edit(
            lambda text: with_review(text, new.app, number, written), by=by, reason=reason
        )
        return applied, code

    def remove(self, app: str, number: str, *, by: str, reason: str) -> Applied:
        """Remove a number. Raises InvalidNumber, or NotFound if it is no review number of the app."""
        e164 = phone.parse(number, possible=True).e164
        return self._changes.edit(lambda text: without_review(text, app, e164), by=by, reason=reason)

    def read_all(self, policy: Policy) -> Iterator[Listed]:
        """Yield all review numbers of a policy."""
        now = self._clock()
        for app in policy.apps.values():
            for number, review in app.review.items():
                yield Listed(app.name, number, review, not review.is_in_use(now))


def day_of(moment: int) -> date:
    """Return the day in UTC of a time (milliseconds since 1970)."""
    return datetime.fromtimestamp(moment / 1000, UTC).date()


# The text.


def with_review(text: str, app: str, number: str, written: dict[str, object]) -> str:
    """Add a number's table at the end of a document. Raises NotFound, or Invalid if it is there already."""
    wanted = tomllib.loads(text)
    known = _app_in(wanted, app)
    if number in known.setdefault("review", {}):
        raise Invalid({"number": ["must not be a review number already; remove it first"]})
    known["review"][number] = written
    name = app if re.fullmatch(r"[A-Za-z0-9_-]+", app) else quoted(app)
    lines = [f"[app.{name}.review.{quoted(number)}]"]
    lines += [f"{field} = {inline(value)}" for field, value in written.items()]
    return verified("\n".join([text.rstrip(), "", *lines, ""]), wanted)


def without_review(text: str, app: str, number: str) -> str:
    """Remove a number's table from a document, with its comments. Raises NotFound."""
    wanted = tomllib.loads(text)
    known = _app_in(wanted, app).get("review", {})
    if number not in known:
        raise NotFound("This is no review number of the app.")
    del known[number]
    return without_tables(text, ("app", app, "review", number), wanted)


def _app_in(
    document: dict[str, dict[str, dict[str, dict[str, object]]]], app: str
) -> dict[str, dict[str, object]]:
    found = document.get("app", {}).get(app)
    if found is None:
        raise NotFound("There is no app of this name.")
    return found

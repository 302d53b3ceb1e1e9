"""Whether review numbers are such that no person is harmed by a code that others know.

Pure. Knows places and rules. Must not know how a document is read.
"""

from otp_service import phone
from otp_service.errors import InvalidNumber
from otp_service.policy.draft import Draft, Findings
from otp_service.policy.model import App
from otp_service.policy.places import join
from otp_service.policy.review import DAY, LONGEST, MOST_NUMBERS, is_fictional

_LIVELY = (
    "may be somebody's, who could never use the app; take one that is kept for fiction, such as +12025550150"
)


def report_contradictions(draft: Draft, findings: Findings) -> None:
    """Find too many numbers, what is no number, too long a time, and numbers of an app that confirms payments."""
    for name, app in draft.apps.items():
        place = f"{join('app', name)}.review"
        if len(app.review) > MOST_NUMBERS:
            findings.add(place, f"must have at most {MOST_NUMBERS} numbers")
        if app.review and app.binding:
            findings.add(
                place,
                "must be left out of an app with a binding, as payments need a proof",
            )
        _check_numbers(app, place, findings)


def report_warnings(draft: Draft, findings: Findings) -> None:
    """Warn of numbers that people could have."""
    for name, app in draft.apps.items():
        for number in app.review:
            if not is_fictional(number):
                findings.add(join(f"{join('app', name)}.review", number), _LIVELY)


def _check_numbers(app: App, place: str, findings: Findings) -> None:
    for number, review in app.review.items():
        here = join(place, number)
        if not _is_e164(number):
            findings.add(here, "must be a number that is known in its country, as +12025550150")
        broken = findings.is_broken(f"{here}.since") or findings.is_broken(f"{here}.expires")
        if not broken and not review.since < review.expires <= review.since + LONGEST * DAY:
            findings.add(f"{here}.expires", f"must be 1 to {LONGEST} days after since")


def _is_e164(text: str) -> bool:
    try:
        return phone.parse(text).e164 == text
    except InvalidNumber:
        return False

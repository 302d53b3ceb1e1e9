"""Scripted journeys: the notes that real ones leave, with what they must add up to."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from random import Random

from otp_service.history.note import Note, What

APPS, COUNTRIES, CHANNELS, ACCOUNTS = (
    ("web", "shop"),
    ("IN", "GB", "US"),
    ("sms", "whatsapp"),
    ("main", "spare"),
)
ROUTES = {"IN": "india", "GB": "1", "US": "1"}


@dataclass
class Script:
    """Makes journeys and counts by itself what they must give."""

    dice: Random
    expected: Counter[str] = field(default_factory=Counter)
    by_country: Counter[tuple[str, str]] = field(default_factory=Counter)
    by_channel: Counter[tuple[str, str]] = field(default_factory=Counter)
    by_route: Counter[tuple[str, str]] = field(default_factory=Counter)

    def journey(self, at: int) -> Iterator[Note]:
        """Play one journey that begins at `at`."""
        draw = self.dice
        app, country = draw.choice(APPS), draw.choice(COUNTRIES)
        asked = Note(what=What.ASKED, at=at, request_id="r", app=app, country=country)
        yield self._counted("asked", asked)
        if draw.random() < 0.2:
            yield self._counted(
                "refused", replace(asked, what=What.REFUSED, rule=draw.choice(("number", "prefix")))
            )
            return
        about = replace(asked, challenge="c", route=ROUTES[country])
        yield self._counted("let_in", replace(about, what=What.ADMITTED, channel=CHANNELS[0]))
        reached = False
        for place, channel in enumerate(CHANNELS):
            sent = replace(
                about, place=place, channel=channel, account=draw.choice(ACCOUNTS), at=at + 40_000 * place
            )
            yield self._counted("sent", replace(sent, what=What.SENT, result="accepted", price=0.25))
            if draw.random() < 0.9:
                arrived = replace(self._reported(sent, "delivered", "sent"), first=not reached)
                if not reached:
                    self._count("reached", arrived)
                reached = True
                yield self._counted("delivered", arrived)
                yield self._reported(sent, "read", "delivered")
            else:
                yield self._counted(
                    "failed", replace(self._reported(sent, "failed", "sent"), reason="absent")
                )
            if draw.random() < 0.7:
                ended = replace(sent, what=What.ENDED, result="verified", seconds=draw.uniform(1, 90))
                yield self._counted("verified", ended)
                return
            if place == 0:
                yield self._counted("fell_back", replace(sent, what=What.FELL_BACK, following=CHANNELS[1]))
        yield self._counted("ended", replace(about, what=What.ENDED, at=at + 300_000, result="expired"))

    def _reported(self, sent: Note, result: str, before: str) -> Note:
        return replace(sent, what=What.REPORTED, result=result, before=before)

    def _counted(self, what: str, note: Note) -> Note:
        self._count(what, note)
        return note

    def _count(self, what: str, note: Note) -> None:
        self.expected[what] += 1
        self.by_country[what, note.country] += 1
        self.by_channel[what, note.channel] += 1
        self.by_route[what, note.route] += 1

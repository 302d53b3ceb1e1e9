"""A story as operators read it: a summary, the deliveries, and what happened in order of time.

Pure. Brings kept notes and the live record together, so that a running challenge shows as it is, also what happened a
moment ago. A status is never worse than the best report that came. Must not know how a story is found.
"""

from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from typing import Any

from otp_service.challenge.model import Challenge, Delivery, State, Status, overruled_by
from otp_service.challenge.notes import about_challenge, about_delivery, written_plan
from otp_service.history.note import Note, What
from otp_service.history.story import Story

_OF_STORY = {
    "challenge",
    "app",
    "country",
    "number",
    "token",
    "purpose",
    "reference",
    "known",
    "arm",
    "policy",
}
"""Fields of notes that the story says once, or that are not shown."""
_SHOWN = [one.name for one in fields(Note) if one.name not in _OF_STORY]
_REPORTED = frozenset({Status.SENT, Status.DELIVERED, Status.READ, Status.FAILED})
_SENT = frozenset({Status.UNKNOWN, Status.ACCEPTED, *_REPORTED})


def merged(story: Story, live: Challenge | None, now: int) -> Story:
    """Add to a story what only the live record tells: its notes are written up to a second later."""
    if live is None:
        return story
    notes = [*story.notes, *_untold(story, live, now)]
    return replace(story, notes=sorted(notes, key=lambda note: note.at))


def summary(story: Story, to: str | None) -> dict[str, Any]:
    """Return what a list of stories shows of one; `to` is the masked number, None if it cannot be read."""
    last = _last_trouble(story.notes)
    return {
        "id": story.id,
        "kind": "challenge" if story.is_challenge else "refused",
        "at": story.notes[0].at,
        "state": story.state or "pending",
        "to": to,
        "app": story.fact("app"),
        "country": story.fact("country"),
        "purpose": story.fact("purpose"),
        "reference": story.fact("reference"),
        "request_id": story.fact("request_id"),
        "route": story.fact("route"),
        "channels": list(dict.fromkeys(note.channel for note in story.notes if note.channel)),
        "reason": last.reason if last else "",
        "rule": last.rule if last else "",
    }


def told(story: Story, to: str | None) -> dict[str, Any]:
    """Return all that is known of a story."""
    return summary(story, to) | {
        "known": story.fact("known"),
        "policy": max((note.policy for note in story.notes), default=0),
        "deliveries": deliveries(story.notes),
        "timeline": [entry(note) for note in story.notes],
    }


def entry(note: Note) -> dict[str, Any]:
    """Return one thing that happened, without what is empty."""
    found = {name: getattr(note, name) for name in _SHOWN}
    return {name: value for name, value in found.items() if value not in ("", None)}


def deliveries(notes: Sequence[Note]) -> list[dict[str, Any]]:
    """Return each delivery with its best status, in order."""
    found: dict[int, dict[str, Any]] = {}
    for note in notes:
        status = _status(note)
        if status is None or note.place is None:
            continue
        one = found.setdefault(
            note.place, {"channel": note.channel, "account": "", "status": status, "reason": ""}
        )
        if note.account:
            one["account"] = note.account
        if note.channel:
            one["channel"] = note.channel
        if one["status"] is status or one["status"] in overruled_by(status):
            reason = note.reason if status in {Status.REFUSED, Status.FAILED, Status.UNKNOWN} else ""
            one |= {"status": status, "reason": reason}
    return [{**found[place], "status": str(found[place]["status"])} for place in sorted(found)]


def _status(note: Note) -> Status | None:
    """Return the status that a note gives to its delivery."""
    match note.what:
        case What.SENT:
            return Status.ACCEPTED if note.result == "accepted" else Status.UNKNOWN
        case What.NOT_SENT:
            return Status.REFUSED
        case What.REPORTED:
            return Status(note.result)
        case _:
            return None


def _last_trouble(notes: Sequence[Note]) -> Note | None:
    """Return the last note of something that did not go as planned."""
    troubles = {What.REFUSED, What.HUMAN_CHECK, What.NOT_SENT, What.FELL_BACK, What.DROPPED}
    found = [note for note in notes if note.what in troubles or note.result == Status.FAILED]
    return found[-1] if found else None


def _untold(story: Story, live: Challenge, now: int) -> Iterator[Note]:
    """List what the record shows and no note says yet."""
    told_ = {(note.what, note.place, note.result) for note in story.notes}
    if story.first is None:
        yield from _beginning(live)
    for place, delivery in enumerate(live.deliveries):
        yield from _untold_delivery(story, live, place, delivery, now)
    state = live.status(now)
    if state is not State.PENDING and not any(what is What.ENDED for what, _, _ in told_):
        yield about_challenge(What.ENDED, live, at=min(now, live.expires), result=state)


def _beginning(live: Challenge) -> Iterator[Note]:
    first = live.deliveries[0]
    facts = {"at": first.at, "request_id": first.request_id, "channel": first.channel}
    about = {"purpose": live.purpose, "reference": live.reference}
    yield about_challenge(What.ASKED, live, **facts, **about)
    yield about_challenge(What.ADMITTED, live, **facts, plan=written_plan(live.plan))


def _untold_delivery(
    story: Story, live: Challenge, place: int, delivery: Delivery, now: int
) -> Iterator[Note]:
    """List what a delivery shows: that it was sent, and what was reported of it. To a review number nothing was."""
    if live.review:
        return
    mine = [note for note in story.notes if note.place == place]
    sent = any(note.what is What.SENT for note in mine)
    reported = {note.result for note in mine if note.what is What.REPORTED}
    if delivery.status in _SENT and not sent:
        result = "unknown" if delivery.status is Status.UNKNOWN else "accepted"
        yield about_delivery(What.SENT, live, place, at=delivery.at, result=result)
    if delivery.status is Status.REFUSED and not any(note.what is What.NOT_SENT for note in mine):
        yield about_delivery(
            What.NOT_SENT, live, place, at=delivery.at, result="refused", reason=delivery.reason
        )
    if delivery.status in _REPORTED and delivery.status not in reported:
        yield about_delivery(
            What.REPORTED, live, place, at=now, result=delivery.status, reason=delivery.reason
        )

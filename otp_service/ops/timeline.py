"""A story as operators read it: a summary, the deliveries, and what happened in order of time.

Pure. Brings kept notes and the live record together, so that a running challenge shows as it is, also what happened a
moment ago. A status is never worse than the best report that came. Must not know how a story is found.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from otp_service.challenge.model import Challenge, Delivery, State, Status, overruled_by
from otp_service.challenge.notes import about_challenge, about_delivery, written_plan
from otp_service.history.line import in_order
from otp_service.history.note import Note, What
from otp_service.history.story import UNKNOWN, Story

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
    "first",
}
"""Fields of notes that the story says once, or that are not shown."""
_SHOWN = [one.name for one in fields(Note) if one.name not in _OF_STORY]
_REPORTED = frozenset({Status.SENT, Status.DELIVERED, Status.READ, Status.FAILED})
_SENT = frozenset({Status.UNKNOWN, Status.ACCEPTED, *_REPORTED})
_DID_NOT_ARRIVE = frozenset({Status.REFUSED, Status.FAILED})


def merged(story: Story, live: Challenge | None, now: int) -> Story:
    """Add to a story what only the live record tells: its notes are written up to a second later."""
    if live is None:
        return replace(story, is_over=True)
    notes = [*story.notes, *_untold(story, live, now)]
    return replace(story, notes=in_order(notes))


def summary(story: Story, to: str | None) -> dict[str, Any]:
    """Return what a list of stories shows of one; `to` is the masked number, None if it cannot be read."""
    last = _last_trouble(story)
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
        "message": newest_message(story),
        "reason": last.reason or last.result if last else "",
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
    found = _by_place(notes)
    return [{**found[place], "status": str(found[place]["status"])} for place in sorted(found)]


def newest_message(story: Story) -> dict[str, str] | None:
    """Return channel and status of the newest message, which may wait to be sent; None if there was none to send."""
    if (begun := _newest(story.notes)) is None:
        return None
    _, place, channel = begun
    known = _by_place(story.notes).get(place, {"channel": channel, "status": _untold_status(story, place)})
    return {"channel": known["channel"], "status": str(known["status"])}


def _untold_status(story: Story, place: int) -> Status:
    """Return the status of a message of which no note says what became of it."""
    if story.state == UNKNOWN:
        return Status.UNKNOWN
    return Status.NOT_SENT if story.state or _is_dropped(story.notes, place) else Status.QUEUED


def _newest(notes: Sequence[Note]) -> tuple[int, int, str] | None:
    """Return where in the notes the newest message begins, its place, and the channel that was chosen for it."""
    newest = None
    for where, note in enumerate(notes):
        begun = _begun(note)
        if begun and (newest is None or begun[0] > newest[1]):
            newest = where, *begun
    return newest


def _begun(note: Note) -> tuple[int, str] | None:
    """Return place and channel of the message that begins with a note."""
    match note.what:
        case What.ADMITTED if note.result != "review":
            return 0, note.channel
        case What.FELL_BACK if note.place is not None:
            return note.place + 1, note.following
        case _ if note.place is not None and (note.what is What.RESENT or _status(note)):
            return note.place, note.channel
        case _:
            return None


def _is_dropped(notes: Sequence[Note], place: int) -> bool:
    return any(note.what is What.DROPPED and note.place == place for note in notes)


def _by_place(notes: Sequence[Note]) -> dict[int, dict[str, Any]]:
    """Return the best status of each delivery. What one account did not take, another one may have taken."""
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
        if one["status"] in {status, Status.REFUSED, *overruled_by(status)}:
            reason = note.reason if status in {Status.REFUSED, Status.FAILED, Status.UNKNOWN} else ""
            one |= {"status": status, "reason": reason}
    return found


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


def _last_trouble(story: Story) -> Note | None:
    """Return the last note of something that did not go as planned, unless a better report overruled it.

    Of a challenge that goes on, this is about its newest message: what became of those before it is over.
    """
    known = _by_place(story.notes)
    found = [(where, note) for where, note in enumerate(story.notes) if _is_trouble(note, known)]
    if not story.state and (newest := _newest(story.notes)):
        begun, place, _ = newest
        found = [one for one in found if (one[0] > begun if one[1].place is None else one[1].place >= place)]
    return found[-1][1] if found else None


def _is_trouble(note: Note, known: Mapping[int, Mapping[str, Any]]) -> bool:
    """Say whether a note is of something that did not go as planned, and still stands."""
    if note.what is What.NOT_SENT or (note.what is What.REPORTED and note.result == Status.FAILED):
        return note.place is None or known[note.place]["status"] in _DID_NOT_ARRIVE
    return note.what in {What.REFUSED, What.HUMAN_CHECK, What.FELL_BACK, What.DROPPED}


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

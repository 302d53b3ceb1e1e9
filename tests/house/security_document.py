"""The figures in docs/security.md, read from the code: limits, lifetimes, time limits, pools and retries.

`python -m tests.house.security_document` writes them between the document's two markers; with `--check` it exits
with 1 when they differ. What a figure is for and where it comes from is said here, what it is never.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import chain
from typing import Any

from otp_service import settings
from otp_service.access import keyring
from otp_service.bootstrap import foundation, operations
from otp_service.challenge import send_store, transitions
from otp_service.cli.worker import EVENTS_AT_ONCE
from otp_service.crypto import lifetimes
from otp_service.crypto.code_hashes import TICKETS_PER_SLOT
from otp_service.delivery import membership, replies, settlement, step_chooser
from otp_service.events import queue, sender, standard_webhooks
from otp_service.figures import counters, periods
from otp_service.guard import captcha, human_check, pins
from otp_service.guard.networks import WIDER
from otp_service.guard.slot import CHARGED
from otp_service.http import body
from otp_service.http.server import bounds, head, processes
from otp_service.net import public_only
from otp_service.ops import recycled
from otp_service.policy import limits, model, versions
from otp_service.policy.guard_forms import FORMS
from otp_service.policy.limits import (
    Budget,
    Consecutive,
    ConversionRule,
    Cooldown,
    Countries,
    DeviceStanding,
    Guard,
    Listed,
    Rule,
    Types,
)
from otp_service.store import connection, scripts
from otp_service.upstream import faults
from otp_service.upstream.mobtexting import account
from otp_service.verification import check
from tests.house import made

MODULE = "tests.house.security_document"
FILE = made.DOCS / "security.md"
_OWN = "own starting value"


@dataclass(frozen=True, slots=True)
class Counted:
    """What a rule of the guard counts, and the source of its figures."""

    whom: str
    source: str


COUNTED: Mapping[str, Counted] = {
    "countries": Counted("the number's country", "Twilio Verify, geo permissions; a list is required"),
    "number_types": Counted(
        "the type of the number, by its metadata", "coss.com, fraud guard; phonenumbers' types"
    ),
    "address": Counted(
        "messages requested from one client address, separately by kind of caller; an IPv6 /64 counts as "
        f"one, a /{WIDER[0][0]} as {WIDER[0][1]} and a /{WIDER[1][0]} as {WIDER[1][1]} addresses",
        "a counter separate from the number's: OWASP Bot Management sheet; 10 in 1 min and the hold: Huawei WAF guide; "
        "the others: own starting values",
    ),
    "session": Counted("messages requested by one session that a server names", _OWN),
    "app": Counted("messages of one app", f"OWASP API4:2023; figures: {_OWN}"),
    "money": Counted(
        "cost of one app's messages, in the upstream's unit", f"OWASP API4:2023; figures: {_OWN}"
    ),
    "everything": Counted("messages of all apps", f"OWASP API4:2023; figures: {_OWN}"),
    "guessing": Counted(
        "wrong codes over all numbers",
        f"{_OWN}: 2,000 guesses at six digits hit 0.002 times on average, "
        "at most four times as often while earlier codes are valid",
    ),
    "country": Counted(
        "messages to one country, separately by kind of caller",
        f"GitLab, cap for each dial code; figures: {_OWN}",
    ),
    "unproven": Counted(
        "messages of one app to one country that were not verified (yet), separately by kind of caller",
        f"NIST SP 800-63B-4 3.2.2 and GitLab ask for absolute caps; figures: {_OWN}",
    ),
    "conversion": Counted(
        "challenges to one country and to one prefix, separately by kind of caller",
        f"GatewayAPI and CM.com: pumping never enters codes; figures: {_OWN}",
    ),
    "prefix": Counted(
        "messages that were not verified (yet) to numbers that differ only in their last four digits, "
        "separately by kind of caller",
        f"CM.com: consecutive numbers are a sign of pumping; figures: {_OWN}",
    ),
    "suppression": Counted("the number, after its owner wrote STOP", "the owner's request"),
    "recycled": Counted(
        "the number, after it was marked as recycled", "TRAI's revocation list; purposes: own choice"
    ),
    "failures": Counted(
        "wrong codes for one number since its last right one, separately by kind of caller",
        f"NIST SP 800-63B-4 3.2.2 allows 100 at most; figures: {_OWN}",
    ),
    "consecutive": Counted(
        "wrong codes in a row for one number, in no window, separately by kind of caller",
        "NIST SP 800-63B-4 3.2.2: 100 at most; RFC 4226 7.3: 5 s for each",
    ),
    "cooldown": Counted(
        "time since the last message to one number, separately by kind of caller",
        f"Supabase: 60 s; the ladder: {_OWN}",
    ),
    "number": Counted(
        "messages to one number, separately by kind of caller",
        "Telnyx: 3 in 10 min; ServiceNow: 10 in 1 d; 5 in 1 h: own starting value",
    ),
    "standing": Counted("sends in a row of a number's known devices that were not verified", _OWN),
}
_FOLLOWS = {
    "human_check": "human check",
    "cheap": "cheap channels only",
    "refuse": "refused",
}


def figures() -> str:
    """Write all tables."""
    parts = (
        _titled("What may be sent", _guard()),
        _titled("What one challenge allows", _challenge()),
        _titled("Lifetimes", _lifetimes()),
        _titled("Time limits, pools and retries", _resources()),
    )
    return "\n".join(parts)


def _titled(title: str, rows: Iterator[Sequence[str]]) -> str:
    head = next(rows)
    lines = [head, ["---"] * len(head), *rows]
    return f"### {title}\n\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def span(seconds: float) -> str:
    """Return a time in the largest unit that gives a whole number."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:,.0f} {unit}"
    return f"{seconds:g} s"


def _spans(seconds: Sequence[float]) -> str:
    return ", ".join(map(span, seconds))


def _ms(milliseconds: float) -> str:
    return span(milliseconds / 1000)


# The guard.


def _guard() -> Iterator[Sequence[str]]:
    yield "rule", "what it counts", "consequence and figure", "in the policy", "source"
    rules = Guard()
    for name, rule in rules.rules().items():
        told = COUNTED[name]
        yield f"`{name}`", told.whom, _consequence(rule), _in_policy(name), told.source
    least, most, step = human_check.LEAST, human_check.MOST, human_check.DOUBLES_EVERY
    effort = f"{least:,} to {most:,} hashes at most, doubling with every {step:.0%} over the limit"
    yield (
        "human check",
        "all but known devices and vouched callers",
        effort,
        _in_policy("human_check"),
        "OWASP API6:2023",
    )
    cheap = ", ".join(rules.cheap_channels)
    yield "cheap channels", "-", cheap, "`guard.cheap_channels`", "own choice"


def _consequence(rule: Rule) -> str:  # noqa: PLR0911 - one for each kind
    """Describe what a rule does by default."""
    match rule:
        case Countries():
            return (
                f"refused outside: {', '.join(rule.allow) or 'every country, until the policy allows some'}"
            )
        case Types():
            return f"refused: {', '.join(rule.refuse)}"
        case Listed():
            purposes = f", for purpose {', '.join(rule.purposes)}" if rule.purposes else ""
            return f"{_FOLLOWS[rule.then]}{purposes}"
        case Consecutive():
            return (
                f"no send for {span(rule.step)} after each wrong code, times the codes in a row, up to "
                f"{span(rule.longest)}; at {rule.most} refused until a known session, a known device or a vouched "
                "caller verifies, or an operator lifts it"
            )
        case DeviceStanding():
            return f"after {rule.unverified} the device is a stranger"
        case Cooldown():
            return f"refused within {_spans(rule.ladder)}; forgotten after {span(rule.forget)}"
        case ConversionRule():
            return (
                f"{_FOLLOWS[rule.country]} (country) or {_FOLLOWS[rule.prefix]} (prefix) for {span(rule.hold)},"
                f" doubling up to {span(rule.longest)}, once fewer than {rule.share:.0%} of {rule.sends} or more in"
                f" {span(rule.within)} verify; the newest {span(rule.grace)} does not count yet: of its challenges, at"
                f" most as many as verified in {span(rule.within)}, or {rule.sends}, go without a human check;"
                f" after a stop, {rule.probes} are sent and judged first"
            )
        case Budget():
            return _tiers(rule)
    raise TypeError(rule)


def _tiers(rule: Budget) -> str:
    levels: dict[str, list[str]] = {}
    for level, window in rule.tiers():
        levels.setdefault(level, []).append(f"{window.limit:,} in {span(window.seconds)}")
    said = [f"{_FOLLOWS[level]} after {', '.join(windows)}" for level, windows in levels.items()]
    if rule.ratio:
        said.append(f"or after {rule.ratio:g} for each verified message, if that is more")
    if rule.reserved:
        said.append(f"{rule.reserved:.0%} of a refusal's figure is for known callers only")
    said += [
        f"beyond a refusal with a longer window, {window.limit} in {span(window.seconds)} after a human check"
        for window in rule.trickle
    ]
    if rule.hold:
        said.append(f"a refusal lasts {span(rule.hold)}")
    if isinstance(rule, limits.Guessing):
        said.append(f"new codes then have {rule.code_length} digits")
    return "; ".join(said)


def _in_policy(name: str) -> str:
    settings_of = [setting for setting in FORMS[name].fields if setting != "mode"] or ["mode"]
    return ", ".join(f"`guard.{name}.{setting}`" for setting in settings_of)


# One challenge.


def _challenge() -> Iterator[Sequence[str]]:
    rules = model.ChallengeRules()
    yield "limit", "figure", "in the policy", "source"
    rows = (
        (
            "digits of a code",
            f"{rules.code_length}",
            "code_length",
            "NIST SP 800-63B-4 3.1.3.2, ASVS 6.5.4: at least six",
        ),
        (
            "lifetime of a challenge and its codes",
            f"{span(rules.ttl)}, {span(model.MAX_TTL)} at most",
            "ttl",
            "ASVS 6.5.5",
        ),
        (
            "guesses",
            f"{rules.max_attempts}",
            "max_attempts",
            "PSD2 RTS article 4(3)(b): at most five; RFC 4226 7.3",
        ),
        ("messages", f"{rules.max_sends}", "max_sends", _OWN),
        ("wait before each resend", _spans(rules.cooldown), "cooldown", _OWN),
        (
            "valid codes beside the newest",
            f"{rules.earlier_codes}",
            "earlier_codes",
            "own choice: a late SMS still works",
        ),
    )
    for what, figure, setting, source in rows:
        yield what, figure, f"`challenge.{setting}`", source


# Lifetimes.


def _lifetimes() -> Iterator[Sequence[str]]:
    yield "what", "figure", "where"
    yield from chain(_given_out(), _remembered(), _leases())


def _given_out() -> Iterator[Sequence[str]]:
    yield "verification token", span(lifetimes.TOKEN_LIFETIME), "`crypto/lifetimes.py`"
    yield "device token", span(lifetimes.DEVICE_LIFETIME), "`crypto/lifetimes.py`"
    yield "human check, until its solution is used", _ms(human_check.LIFETIME), "`guard/human_check.py`"


def _remembered() -> Iterator[Sequence[str]]:
    defaults = {name: default or "" for name, _, default in settings.variables()}
    for what, setting in (
        ("challenge, after its expiry", "OTP_KEEP_CHALLENGES"),
        ("idempotency key", "OTP_KEEP_IDEMPOTENCY"),
        ("event that its app does not accept", "OTP_KEEP_EVENTS"),
        ("story of a challenge, after its end, to the next full hours", "OTP_KEEP_HISTORY"),
    ):
        yield (
            what,
            defaults[setting].replace("m", " min").replace("h", " h").replace("d", " d"),
            f"`{setting}`",
        )
    yield (
        "issued key after its rotation",
        f"{span(keyring.OVERLAP)} by default",
        "`access/keyring.py`",
    )
    yield "record of an issued key, after its end", _ms(keyring.KEEP_ENDED), "`access/keyring.py`"
    yield "charge of the guard, for a repeat or a refund", _ms(CHARGED), "`guard/slot.py`"
    yield "block, after its end", _ms(operations.BLOCKS_KEPT), "`bootstrap/operations.py`"
    yield "recycled number", f"{recycled.RECYCLED_FOR} d by default", "`ops/recycled.py`"
    yield "STOP of a person", span(replies.SUPPRESSED_FOR), "`delivery/replies.py`"
    yield "channel that a person opened by a message", span(replies.OPEN_FOR), "`delivery/replies.py`"
    yield "result of a paid lookup", span(step_chooser.LOOKUP_KEPT), "`delivery/step_chooser.py`"
    days, hours = periods.KEPT["day"] + 1, periods.KEPT["hour"] + 1
    yield "figures by hour and by day, without people", f"{hours} h and {days} d", "`figures/periods.py`"
    yield "number of a process's last batch of figures", _ms(counters.KEEP_WRITTEN), "`figures/counters.py`"
    yield "versions of the policy", f"the newest {versions.MOST_VERSIONS}", "`policy/versions.py`"
    yield "endpoint disabled by a 410", span(sender.OFF_FOR), "`events/sender.py`"


def _leases() -> Iterator[Sequence[str]]:
    yield "lease for drawing and hashing", _ms(send_store.CLAIM_LEASE), "`challenge/send_store.py`"
    yield "lease for sending", _ms(send_store.SEND_LEASE), "`challenge/send_store.py`"
    yield "lease for an event", _ms(queue.LEASE), "`events/queue.py`"
    yield "lease of a breaker's probe", span(faults.PROBE_LEASE), "`upstream/faults.py`"
    yield "worker without a heartbeat", span(membership.LIFE), "`delivery/membership.py`"


# Time limits, pools and retries.


def _resources() -> Iterator[Sequence[str]]:
    yield "what", "figure", "where", "when reached"
    yield from chain(
        _of_clients(), _of_operators(), _of_hashing(), _of_the_store(), _of_upstreams(), _of_apps()
    )


def _of_operators() -> Iterator[Sequence[str]]:
    yield (
        "issued keys that are valid",
        f"{keyring.MOST_KEYS:,}",
        "`access/keyring.py`",
        "409 `key_conflict`, until one ends or is revoked",
    )
    yield (
        "pins",
        f"{pins.MOST_PINS:,}",
        "`guard/pins.py`",
        "422 `invalid_request`, until one ends or is lifted",
    )


def _of_clients() -> Iterator[Sequence[str]]:
    defaults = {name: default for name, _, default in settings.variables()}
    yield (
        "API processes and threads",
        f"{defaults['OTP_PROCESSES']} x {defaults['OTP_THREADS']}",
        "`OTP_PROCESSES`, `OTP_THREADS`",
        "requests wait for a thread",
    )
    yield from (
        (
            "a whole request, headers and body; reading its answer",
            f"{span(bounds.USUAL.request)} each",
            "`http/server/bounds.py`",
            "408 `request_timeout`; closed",
        ),
        ("idle connection", span(bounds.USUAL.idle), "`http/server/bounds.py`", "closed"),
        (
            "connections of an API process",
            f"{bounds.USUAL.connections:,}, or what the limit of open files allows",
            "`http/server/bounds.py`",
            "those closed first that send no request",
        ),
        (
            "memory of an API process for unfinished requests and unread answers",
            f"{bounds.USUAL.buffered // 2**20} MiB",
            "`http/server/bounds.py`",
            "the largest are closed",
        ),
        (
            "memory of an API process for requests that wait for a thread",
            f"{bounds.USUAL.queued // 2**20} MiB",
            "`http/server/bounds.py`",
            "503 `busy`",
        ),
        (
            "wait of a request for a thread",
            span(bounds.USUAL.waiting),
            "`http/server/bounds.py`",
            "503 `busy`",
        ),
        (
            "call of the application",
            span(bounds.USUAL.answering),
            "`http/server/bounds.py`",
            "the process is replaced",
        ),
        (
            "request line; headers",
            f"{head.MAX_LINE} bytes; {head.MAX_FIELDS}, {head.MAX_HEAD // 1024} KiB together",
            "`http/server/head.py`",
            "414 or 431",
        ),
    )
    yield (
        "body; body with a policy",
        f"{body.MAX_BODY // 1024} KiB; {body.MAX_POLICY // 1024} KiB",
        "`http/body.py`",
        "413, without reading it",
    )
    yield "shutdown of a process", span(processes.GRACE), "`http/server/processes.py`", "killed"


def _of_hashing() -> Iterator[Sequence[str]]:
    yield (
        "Argon2 runs at once",
        "cores of the machine divided by its API processes, at least one in each; likewise in workers",
        "`bootstrap/core.py`",
        "the check waits",
    )
    yield (
        "checks under way",
        f"{TICKETS_PER_SLOT} for each core; another one waits {span(check.TICKET_WAIT)} for its ticket",
        "`crypto/code_hashes.py`, `verification/check.py`",
        "503 `busy`; the guess is not counted",
    )


def _of_the_store() -> Iterator[Sequence[str]]:
    yield (
        "the store: connections of each process",
        f"threads + {foundation.SPARE_CONNECTIONS} for scripts, and as many at most for scans and subscriptions",
        "`bootstrap/foundation.py`, `store/held.py`",
        f"a caller waits {span(connection.USUAL_LIMITS.pool)}, then it counts as unavailable",
    )
    yield (
        "the store: connect; reply",
        f"{span(connection.USUAL_LIMITS.connect)}; {span(connection.USUAL_LIMITS.reply)}",
        "`store/connection.py`",
        "retried",
    )
    yield (
        "the store: tries of one call",
        f"{len(scripts.PAUSES) + 1}, after {_spans(scripts.PAUSES)}, each plus random jitter of up to the same length",
        "`store/scripts.py`",
        "503 `store_unavailable`",
    )
    yield (
        "the store: one call in total",
        span(connection.USUAL_LIMITS.budget),
        "`store/connection.py`",
        "503 `store_unavailable`; nothing is sent",
    )
    yield (
        "recording the outcome of a message",
        f"every {span(settlement.PAUSE)}, for {span(settlement.PATIENCE)}",
        "`delivery/settlement.py`",
        "the outcome stays unknown",
    )


def _of_upstreams() -> Iterator[Sequence[str]]:
    retries = transitions.MAX_DEFERRALS
    defaults = {name: default for name, _, default in settings.variables()}
    rules: Mapping[str, Any] = {each.name: each.default for each in fields(model.Upstream)}
    pool = {each.name: each.default for each in fields(account.AccountSettings)}["pool_size"]
    yield "sends at once, each worker", f"{defaults['OTP_WORKER_SENDS']}", "`OTP_WORKER_SENDS`", "others wait"
    yield (
        "an upstream: connect; whole call",
        f"{span(rules['connect_timeout'])}; {span(rules['total_timeout'])}",
        "`upstream.NAME.connect_timeout`, `upstream.NAME.total_timeout`",
        "unknown if anything left, otherwise deferred",
    )
    yield (
        "an upstream: connections kept",
        f"{pool}",
        "`upstream/mobtexting/account.py`",
        "further calls use extra connections",
    )
    yield (
        "an upstream: tries of one request",
        "1",
        "`upstream/mobtexting/transport.py`",
        "a request that may have left is never sent again",
    )
    yield (
        "retries of a delivery that did not leave",
        f"{retries}, after {_spans([transitions.pause_after(n) for n in range(retries)])}, or as the upstream asks",
        "`challenge/transitions.py`",
        "the next step",
    )
    yield (
        "an upstream: consecutive faults",
        f"{rules['tolerance']}",
        "`upstream.NAME.tolerance`",
        f"the breaker opens for {span(faults.FIRST_PAUSE)}, doubling up to {span(faults.LONGEST_PAUSE)}",
    )
    yield (
        "an upstream: GET requests in a minute",
        f"{rules['gets_per_minute']:,}",
        "`upstream.NAME.gets_per_minute`",
        "no request",
    )
    yield (
        "CAPTCHA vendor: connect; whole call",
        f"{span(captcha.CONNECT_LIMIT)}; {span(captcha.TOTAL_LIMIT)}",
        "`guard/captcha.py`",
        "503; no human check passes, nothing is sent",
    )


def _of_apps() -> Iterator[Sequence[str]]:
    yield (
        "events at once, each worker",
        f"{EVENTS_AT_ONCE}",
        "`cli/worker.py`",
        "other events wait; sends do not",
    )
    waits = standard_webhooks.RETRIES
    yield (
        "an app's endpoint: connect; whole call",
        f"{span(public_only.CONNECT_LIMIT)}; {span(public_only.TOTAL_LIMIT)}",
        "`net/public_only.py`",
        "retried",
    )
    yield (
        "retries of an event",
        f"{len(waits)}, after {_spans(waits)}, each {standard_webhooks.JITTER:.0%} earlier or later",
        "`events/standard_webhooks.py`",
        "dropped",
    )


if __name__ == "__main__":
    sys.exit(made.main(MODULE, FILE, figures, sys.argv[1:]))

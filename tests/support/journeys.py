"""A whole core with accounts on four channels whose upstreams answer as a script says, driven without waiting.

One thread attends to one challenge; in place of waiting, the store's clock is moved to its next deadline.
"""

import itertools
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from otp_service.bootstrap.core import Core
from otp_service.challenge.model import Challenge, State
from otp_service.policy import Route, StepRule
from otp_service.upstream.port import Receipt, Stage
from otp_service.verification.caller import Caller
from otp_service.verification.send import SendRequest
from tests.conftest import POLICY, UPSTREAM_TOKEN, make_core
from tests.support.fault_server import Received, http, http_json
from tests.support.numbers import crowd
from tests.support.spine import OPEN_GUARD, deadline, seen
from tests.support.valkey_server import ValkeyServer

CHANNELS = ("sms", "whatsapp", "voice", "rcs")
ORDERS = tuple(itertools.permutations(CHANNELS))
CHANNEL_OF = {
    "/api/v2/sms/send": "sms",
    "/api/v2/whatsapp/message/send": "whatsapp",
    "/api/v2/outgoing/tts": "voice",
    "/api/v2/rcs/message/send": "rcs",
}
WAIT = 10
"""Seconds of each step's wait."""
TTL = 120
MAX_SENDS = 6


def account(name: str, url: str, more: str = "pull = false", *, connect_timeout: float = 5.0) -> str:
    """Write the table of an account with all four channels."""
    return f"""
[upstream.{name}]
kind = "mobtexting"
base_url = "{url}"
token_env = "OTP_UPSTREAM_{name.upper()}_TOKEN"
connect_timeout = {connect_timeout}
total_timeout = 6.0
{more}
sms = {{ service = "T", sender = "ACMEIN" }}
whatsapp = {{ sender = "919000000000", template = "otp_login" }}
voice = {{ bridge = "918000000000" }}
rcs = {{ sender = "00000000-0000-0000-0000-000000000000" }}
"""


def four_channels(*accounts: str) -> str:
    """Write a policy of these accounts, whose limits are out of the way; the route is each journey's own."""
    before = POLICY[: POLICY.index("[upstream.main]")]
    return f"""{before}
{OPEN_GUARD}

[challenge]
ttl = "{TTL}s"
max_sends = {MAX_SENDS}
cooldown = ["1s"]
{"".join(accounts)}
[[route]]
steps = [{{ channel = "sms", upstream = "main", wait = "10s" }}]
"""


def open_core(valkey: ValkeyServer, text: str, **changes: object) -> Core:
    """Build a core for a policy of the accounts main and spare."""
    tokens = {f"OTP_UPSTREAM_{name}_TOKEN": UPSTREAM_TOKEN for name in ("MAIN", "SPARE")}
    return make_core(valkey.url, "unused", text=text, **{"upstream_tokens": tokens, **changes})


def steps(order: Sequence[str], *upstreams: str, until: str = "delivered") -> tuple[StepRule, ...]:
    """Give a step for each channel, all alike."""
    return tuple(
        StepRule(channel=channel, upstreams=upstreams or ("main",), wait=WAIT, until=until)
        for channel in order
    )


@dataclass
class Upstream:
    """Answers sends by channel: `ends` says how; keeps the channels and codes of what came."""

    ends: dict[str, str] = field(default_factory=dict)
    took: list[str] = field(default_factory=list)
    codes: dict[str, str] = field(default_factory=dict)
    _ids: Any = field(default_factory=itertools.count)
    _lock: Any = field(default_factory=threading.Lock)

    def __call__(self, request: Received) -> bytes:
        """Answer one request."""
        channel = CHANNEL_OF[request.path]
        with self._lock:
            self.took.append(channel)
            self.codes[channel] = _code(channel, request)
            id_ = f"message-{next(self._ids)}"
        match self.ends.get(channel, "delivered"):
            case "refused":
                return http_json({"status": "ERROR", "message": "no"})
            case "not_allowed" | "no_credits" as word:
                row = {"id": id_, "status": {"not_allowed": "NOTALLOWED", "no_credits": "NO-CREDITS"}[word]}
                return http_json({"status": "OK", "data": [row]})
            case "unknown":
                return http(b'{"status": "OK", "da')
            case _:
                return http_json({"status": "OK", "data": [{"id": id_, "status": "AWAITING-DLR"}]})


@dataclass
class Journeys:
    """A core, its upstream, and challenges on their way."""

    core: Core
    valkey: ValkeyServer
    upstream: Upstream
    numbers: Any = field(default_factory=lambda: itertools.cycle(crowd()))

    def caller(self, *rules: StepRule, after_choice: str | None = None) -> Caller:
        """Give a caller whose only route has these steps."""
        active = self.core.active()
        route = Route(steps=rules, after_choice=after_choice)  # type: ignore[arg-type]  # two words
        policy = replace(active.policy, routes=(route,))
        return Caller(app=policy.apps["web"], active=replace(active, policy=policy), request_id="r" * 16)

    def start(self, *rules: StepRule, channel: str | None = None, after_choice: str | None = None) -> str:
        """Start a challenge over these steps; gives its id."""
        asked = SendRequest(to=next(self.numbers), channel=channel)
        return self.core.send.send(self.caller(*rules, after_choice=after_choice), asked).challenge_id

    def move(self, milliseconds: int) -> None:
        """Move the clock."""
        self.core.scripts.offset += milliseconds

    def dispatch(self, id_: str) -> Challenge:
        """Do what is due for a challenge, once."""
        self.core.dispatcher.dispatch(id_, lambda: False)
        return seen(self.core.store, id_)

    def pause(self, id_: str) -> int | None:
        """Give the milliseconds until a challenge is due; None for never."""
        due = deadline(self.valkey, self.core.store, id_)
        return None if due is None else max(0, due - self.core.store.facts.time())

    def go_on(self, id_: str, ready: Callable[[Challenge], bool]) -> Challenge:
        """Dispatch a challenge whenever it is due, until it is `ready`; a challenge that runs in circles fails."""
        for _ in range(40):
            if ready(challenge := seen(self.core.store, id_)):
                return challenge
            pause = self.pause(id_)
            if pause is None:
                return challenge
            self.move(pause)
            self.report(self.dispatch(id_))
        raise AssertionError("it ran in circles")

    def to_the_end(self, id_: str) -> Challenge:
        """Go on until the challenge has ended."""
        return self.go_on(id_, lambda challenge: challenge.state is not State.PENDING)

    def rest(self, id_: str) -> Challenge:
        """Go on until nothing more is to be done before the expiry."""

        def rests(challenge: Challenge) -> bool:
            due = deadline(self.valkey, self.core.store, id_)
            return challenge.state is not State.PENDING or due is None or due >= challenge.expires

        return self.go_on(id_, rests)

    def report(self, challenge: Challenge) -> None:
        """Push the receipt of the newest message, if it gets one."""
        delivery = challenge.last
        stages = {
            "failed_receipt": Stage.FAILED,
            "delivered": Stage.DELIVERED,
            "sent": Stage.SENT,
            "read": Stage.READ,
        }
        stage = stages.get(self.upstream.ends.get(delivery.channel, "delivered"))
        if stage and delivery.status == "accepted":
            self.push(delivery.channel, delivery.upstream_id, stage, delivery.upstream)

    def push(self, channel: str, upstream_id: str, stage: Stage, upstream: str = "main") -> str:
        """Push one receipt."""
        reason = "undelivered" if stage is Stage.FAILED else str(stage)
        receipt = Receipt(channel=channel, stage=stage, reason=reason, upstream_id=upstream_id)
        return self.core.receipts.record_receipt(upstream, receipt)

    def break_open(self, channel: str, seconds: float = 600, upstream: str = "main") -> None:
        """Open a breaker."""
        self.core.breakers.record_fault(upstream, channel, seconds, 1)

    def mend_all(self, *upstreams: str) -> None:
        """Close all breakers."""
        for upstream, channel in itertools.product(upstreams or ("main",), CHANNELS):
            self.core.breakers.close(upstream, channel)


def _code(channel: str, request: Received) -> str:
    """Find the code in a message, as the person would."""
    said = request.body.decode()
    if channel == "whatsapp":
        said = str(request.json["message"]["payload"])
    elif channel == "sms":
        said = request.fields["message"]
    elif channel == "rcs":
        said = str(request.json["message"])
    else:
        said = re.sub(r"(?<=[0-9])[^0-9]{1,3}(?=[0-9])", "", request.json["text"])
    codes: list[str] = re.findall("[0-9]{6}", said)
    return codes[0]

"""Journeys of people through a running service. Each writes down itself what its timeline must say.

Nothing of a plan is read from the service, except what a client gets anyway: ids, codes of answers, and when to act.
"""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import requests

from otp_service.sandbox.mailbox import Message
from otp_service.sandbox.outcomes import Outcome
from tests.conftest import ORIGIN
from tests.support.patience import until
from tests.support.proofs import encoded, proof
from tests.support.told_service import BUSY, Service, key_of

PLANS = {
    "usual": "sms:main whatsapp:main voice:main",
    "quick": "sms:main voice:main",
    "twice": "sms:main+spare whatsapp:main",
    "alone": "sms:main",
    "open": "whatsapp:main sms:main",
}
"""The plan of each route, as a story says it. A route that is not the usual one is for the purpose of its name."""
FIRST_WORD = {"sms": "AWAITING-DLR", "whatsapp": "QUEUED", "voice": "QUEUED"}
"""The upstream's word when it accepts."""
WORDS = {
    ("sms", "delivered"): "DELIVRD",
    ("sms", "failed"): "UNDELIV",
    ("whatsapp", "sent"): "sent",
    ("whatsapp", "delivered"): "delivered",
    ("whatsapp", "read"): "read",
    ("whatsapp", "failed"): "failed",
    ("voice", "delivered"): "ANSWER",
}
"""The upstream's word for a status."""
Step = dict[str, Any]


@dataclass
class Person:
    """One who asks for a code: what must be told of the challenge, and of each send that opened none."""

    service: Service = field(repr=False)
    number: str
    other_number: str = ""
    app: str = "web"
    page: bool = False
    address: str = ""
    id: str = ""
    first_request: str = ""
    purpose: str = "login"
    route: str = "usual"
    reference: str = ""
    state: str = "pending"
    plan: list[Step] = field(default_factory=list)
    deliveries: list[Step] = field(default_factory=list)
    refused: list[tuple[str, str, list[Step]]] = field(default_factory=list)
    """Request id, state and steps of each send that opened no challenge."""
    version: int = 0
    token: str = ""
    review_code: str = ""

    def plan_step(self, what: str, **facts: Any) -> None:  # noqa: ANN401 - what a step says
        """Plan a step."""
        self.plan.append(_step(what, **facts))

    def call(self, method: str, path: str, body: object = None, **headers: str) -> requests.Response:
        """Make a request, again while the service is too busy: such an answer leaves a trace in a resend only."""
        more = {"X_Forwarded_For": self.address} if self.address else {}
        more |= {"Origin": ORIGIN} if self.page else {}
        key = key_of(self.app, "publishable" if self.page else "secret")
        answers: list[requests.Response] = []

        def answered() -> bool:
            answers.append(self.service.call(method, path, key, body, **headers, **more))
            return answers[-1].status_code != BUSY

        until(answered, pause=0.2, explain=lambda: answers[-1].text)
        return answers[-1]

    # What people do.

    def send(self, *, sure: bool = True, route: str = "usual", **fields: Any) -> requests.Response:  # noqa: ANN401
        """Ask for a code; unless it is not `sure`, a challenge is opened."""
        headers = fields.pop("headers", {})
        self.purpose, self.route = ("login" if route == "usual" else route), route
        body = {"to": self.number, "purpose": self.purpose, **fields}
        answer = self.call("POST", "/otp/send", body, **headers)
        if sure:
            assert answer.status_code == 202, answer.text
            self.opened(answer, channel=fields.get("channel", ""))
            self.reference = fields.get("reference", "")
        return answer

    def opened(self, answer: requests.Response, *, channel: str = "", result: str = "allow") -> None:
        """Plan what a send tells that opened a challenge."""
        self.id, self.first_request = answer.json()["challenge_id"], _request(answer)
        self.version = self.service.version
        plan = PLANS[self.route]
        if channel:  # the one that was chosen comes first
            parts = plan.split()
            parts.sort(key=lambda part: not part.startswith(f"{channel}:"))
            plan = " ".join(parts)
        origin = ORIGIN if self.page else "server"
        self.plan_step(
            "asked", request_id=self.first_request, origin=origin, route=self.route, channel=channel
        )
        if self.app == "decided":
            self.plan_step("decided", **_decided("allow"))
        self.plan_step("admitted", channel=plan.partition(":")[0], plan=plan, result=result)

    def refuse(self, answer: requests.Response, code: str, **facts: Any) -> None:  # noqa: ANN401 - what a step says
        """Plan what a send tells that was refused."""
        assert answer.json()["code"] == code, answer.text
        origin = ORIGIN if self.page else "server"
        request_id, route = _request(answer), facts.pop("route", self.route)
        asks, chosen = code.startswith("human_check"), facts.pop("channel", "")
        about = {"request_id": request_id, "origin": origin, "route": route, "channel": chosen}
        last = {"request_id": request_id, "reason": code, "channel": chosen, **facts}
        what, state = ("human_check", "human_check") if asks else ("refused", "refused")
        steps = [_step("asked", **about), _step(what, **last)]
        if facts.get("rule") == "decision":
            steps.insert(1, _step("decided", **_decided("refuse")))
        self.refused.append((request_id, state, steps))

    def arrives(self, channel: str, *, account: str = "main") -> Message:
        """Wait for the next message; it was accepted."""
        place = len(self.deliveries)
        count = 1 + len([one for one in self.deliveries if one["status"] != "refused"])
        until(lambda: len(self.service.messages(self.number)) >= count, explain=lambda: f"{self}")
        message: Message = self.service.messages(self.number)[count - 1]  # the next one may have come, too
        assert (message.channel, message.account) == (channel, account)
        self.until_status(place, "accepted")
        self.deliveries.append({"channel": channel, "account": account, "status": "accepted", "reason": ""})
        about = {"channel": channel, "account": account, "place": place}
        self.plan_step(
            "sent", **about, result="accepted", word=FIRST_WORD[channel], price=message.charges, seconds=True
        )
        return message

    def is_refused(self, channel: str, *, reason: str, account: str = "main", word: str = "") -> None:
        """Plan a message that the upstream does not take for good."""
        place = len(self.deliveries)
        self.deliveries.append(
            {"channel": channel, "account": account, "status": "refused", "reason": reason}
        )
        about = {"channel": channel, "account": account, "place": place}
        self.plan_step("not_sent", **about, result="refused", reason=reason, word=word, seconds=True)

    def falls_back(self, channel: str, following: str, reason: str) -> None:
        """Plan that the newest step is given up."""
        place = len(self.deliveries) - 1
        facts = {"channel": channel, "account": self.deliveries[place]["account"], "place": place}
        self.plan_step("fell_back", **facts, following=following, reason=reason)

    def report(self, message: Message, status: str, place: int = -1) -> None:
        """Let the upstream report a message, and wait until the service knows."""
        place %= len(self.deliveries)
        self.service.report(message, WORDS[message.channel, status])
        self.until_status(place, status)
        reason = "undelivered" if status == "failed" else ""
        self.deliveries[place] |= {"status": status, "reason": reason}
        word = WORDS[message.channel, status].upper()
        about = {"channel": message.channel, "account": message.account, "place": place}
        self.plan_step("reported", **about, result=status, reason=reason, word=word)

    def until_status(self, place: int, status: str) -> None:
        """Wait until the service shows a status."""

        def shows() -> bool:
            found = self.view()["deliveries"]
            return len(found) > place and bool(found[place]["status"] == status)

        until(shows, pause=0.05, explain=lambda: f"{self.view()} for {self}")

    def view(self) -> dict[str, Any]:
        """Read the challenge as its app does."""
        found: dict[str, Any] = self.call("GET", f"/otp/{self.id}").json()
        return found

    def guess(self, code: str, **headers: str) -> requests.Response:
        """Type a code."""
        return self.call("POST", "/otp/verify", {"challenge_id": self.id, "code": code}, **headers)

    def wrong(self, count: int = 1) -> None:
        """Type wrong codes."""
        codes = {message.code for message in self.service.messages(self.number)}
        wrong = next(f"{code:06d}" for code in range(10) if f"{code:06d}" not in codes)
        for _ in range(count):
            answer = self.guess(wrong)
            assert answer.json()["code"] == "wrong_code", answer.text
            self.plan_step("guessed", request_id=_request(answer), result="wrong")

    def right(self, message: Message, place: int = -1, *, once: str = "") -> None:
        """Type the code of a message; `once` is the Idempotency-Key."""
        place %= len(self.deliveries)
        answer = self.guess(message.code or "", **({"Idempotency_Key": once} if once else {}))
        assert answer.status_code == 200, answer.text
        self.token = answer.json()["token"]
        about = {"channel": message.channel, "account": message.account, "place": place, "seconds": True}
        about["request_id"] = _request(answer)
        self.plan_step("guessed", **about, result="right")
        self.ends("verified", **about)

    def ends(self, state: str, **facts: Any) -> None:  # noqa: ANN401 - what a step says
        """Plan the end."""
        self.state = state
        self.plan_step("ended", result=state, **facts)

    def redeem(self) -> None:
        """Spend the token; a second time is refused and leaves no trace."""
        for status in (200, 409):
            answer = self.call("POST", "/otp/token/redeem", {"token": self.token})
            assert answer.status_code == status, answer.text
            if status == 200:
                self.plan_step("redeemed", request_id=_request(answer))

    def resend(self, channel: str = "", **headers: str) -> requests.Response:
        """Ask for another message as soon as that is possible. Plans nothing."""
        until(lambda: self.view()["resend_in"] == 0, pause=0.1)
        body = {"channel": channel} if channel else {}
        return self.call("POST", f"/otp/{self.id}/resend", body, **headers)

    def resent(self, answer: requests.Response, channel: str) -> None:
        """Plan a resend that was accepted."""
        assert answer.status_code == 202, answer.text
        place = len(self.deliveries)
        self.plan_step("resent", request_id=_request(answer), channel=channel, place=place)


def _request(answer: requests.Response) -> str:
    return answer.headers["X-Request-Id"]


def _decided(answer: str) -> Step:
    return {"result": answer, "seconds": True}


def _step(what: str, **facts: Any) -> Step:  # noqa: ANN401 - what a step says
    return {"what": what, **{name: value for name, value in facts.items() if value != ""}}


# What happens to people. Each takes the person and dice.
Act = Callable[[Person, random.Random], None]


def verifies(one: Person, dice: random.Random) -> None:
    """Send, perhaps a report, wrong guesses, the right code, perhaps again, perhaps redeemed."""
    once = {"Idempotency_Key": f"send-{one.number}-once-more"} if dice.random() < 0.5 else {}
    sent = one.send(reference=f"order-{dice.randrange(10**6)}", headers=once)
    if once:  # the same send: no step of its own
        again = one.call(
            "POST",
            "/otp/send",
            {"to": one.number, "purpose": "login", "reference": one.reference},
            **once,
        )
        assert again.json()["challenge_id"] == sent.json()["challenge_id"]
    message = one.arrives("sms")
    if dice.random() < 0.7:
        one.report(message, "delivered")
    one.wrong(dice.randrange(4))
    key = f"guess-{one.number}-once-more"
    one.right(message, once=key)
    if dice.random() < 0.5:
        answer = one.guess(message.code or "", Idempotency_Key=key)
        assert answer.status_code == 200, answer.text
        one.plan_step("guessed", request_id=_request(answer), result="repeated")
    if dice.random() < 0.6:
        one.redeem()


def exhausts(one: Person, dice: random.Random) -> None:
    """Five wrong codes end it for the person; a sixth guess is not compared."""
    one.page = dice.random() < 0.5
    one.send()
    one.arrives("sms")
    one.wrong(5)
    one.ends("exhausted", request_id=one.plan[-1]["request_id"])
    answer = one.guess("123456")
    assert answer.json()["code"] == "no_attempts_left", answer.text
    one.plan_step("guessed", request_id=_request(answer), result="exhausted")


def cancels(one: Person, dice: random.Random) -> None:
    """Cancel, perhaps twice; a code of another length before it."""
    one.send()
    message = one.arrives("sms")
    if dice.random() < 0.5:
        answer = one.guess("1234567")
        assert answer.status_code == 422, answer.text
        one.plan_step("guessed", request_id=_request(answer), result="shape")
    for count in range(1 + dice.randrange(2)):
        answer = one.call("DELETE", f"/otp/{one.id}")
        assert answer.json()["status"] == "cancelled", answer.text
        if not count:
            one.ends("cancelled", request_id=_request(answer))
    assert one.guess(message.code or "").status_code == 404  # gone: such an id could be made up


def resends(one: Person, dice: random.Random) -> None:
    """Another message, perhaps over a chosen channel, perhaps repeated; either code is right."""
    one.send()
    first = one.arrives("sms")
    channel = dice.choice(["", "sms", "voice"])
    once = {"Idempotency_Key": f"resend-{one.number}-once-more"}
    answer = one.resend(channel, **once)
    following = channel or "whatsapp"
    one.resent(answer, following)
    if dice.random() < 0.5:
        assert one.resend(channel, **once).status_code == 202
    second = one.arrives(following)
    if dice.random() < 0.5:
        one.right(second)
    else:
        one.right(first, 0)


def chooses(one: Person, dice: random.Random) -> None:
    """The person chose a channel, and reads the message."""
    one.page = dice.random() < 0.5
    one.send(channel="whatsapp")
    message = one.arrives("whatsapp")
    for status in ("sent", "delivered", "read")[: 1 + dice.randrange(3)]:
        one.report(message, status)
    one.right(message)


def fails(one: Person, dice: random.Random) -> None:
    """Messages are reported as failed; the next channel follows, and perhaps the one after it."""
    one.send()
    one.report(one.arrives("sms"), "failed")
    one.falls_back("sms", "whatsapp", "undelivered")
    message = one.arrives("whatsapp")
    if dice.random() < 0.5:
        one.report(message, "failed")
        one.falls_back("whatsapp", "voice", "undelivered")
        message = one.arrives("voice")
    one.report(message, "delivered")
    one.right(message)


def is_refused(one: Person, _dice: random.Random) -> None:
    """The upstream does not take the first message."""
    one.service.force(one.number, "sms", Outcome.REFUSED_RECIPIENT)
    one.send()
    one.is_refused("sms", reason="not_allowed", word="NOTALLOWED")
    one.falls_back("sms", "whatsapp", "not_allowed")
    one.right(one.arrives("whatsapp"))


def waits(one: Person, dice: random.Random) -> None:
    """No report comes, so the next channel follows when the wait is over; the first code may still be typed."""
    one.send(route="quick")
    first = one.arrives("sms")
    until(lambda: len(one.service.messages(one.number)) > 1, pause=0.1)
    one.falls_back("sms", "voice", "no_report")
    second = one.arrives("voice")
    if dice.random() < 0.5:
        one.right(second)
    else:
        one.right(first, 0)


def changes_account(one: Person, _dice: random.Random) -> None:
    """The first account says "not now": the other one follows at once."""
    one.service.force(one.number, "sms", Outcome.UNAVAILABLE, "main")
    one.send(route="twice")
    about = {"channel": "sms", "account": "main", "place": 0, "seconds": True}
    one.plan_step("not_sent", **about, result="deferred", reason="unavailable")
    one.right(one.arrives("sms", account="spare"))


def is_undeliverable(one: Person, _dice: random.Random) -> None:
    """The only channel refuses."""
    one.service.force(one.number, "sms", Outcome.REFUSED_RECIPIENT)
    one.send(route="alone")
    one.is_refused("sms", reason="not_allowed", word="NOTALLOWED")
    until(lambda: one.view()["status"] == "undeliverable", pause=0.05)
    one.ends("undeliverable")


def skips(one: Person, _dice: random.Random) -> None:
    """A step whose condition is not met is passed over."""
    one.send(route="open")
    one.plan_step("skipped", channel="whatsapp", place=0, reason="open")
    one.right(one.arrives("sms"))


def expires(one: Person, dice: random.Random) -> None:
    """No code is typed; a report may come before the end, and a guess after it."""
    one.send(route="alone")
    message = one.arrives("sms")
    if dice.random() < 0.5:
        one.report(message, "delivered")
    one.wrong(dice.randrange(2))
    until(lambda: one.view()["status"] == "expired", pause=0.2, progress=lambda: one.view()["expires_in"])
    one.ends("expired")


def reports_late(one: Person, _dice: random.Random) -> None:
    """A report comes when the code was typed already."""
    one.send()
    message = one.arrives("sms")
    one.right(message)
    one.report(message, "delivered")


def is_limited(one: Person, _dice: random.Random) -> None:
    """A rule of the app refuses the second send."""
    one.app = "strict"
    one.send()
    answer = one.send(sure=False)
    about = {"counter": 1.0, "threshold": 1.0, "window": 3600.0}
    one.refuse(answer, "too_many_requests", rule="number", **about)
    one.right(one.arrives("sms"))


def proves_human(one: Person, dice: random.Random) -> None:
    """The second send from an address needs a human check, which is solved."""
    before = Person(one.service, one.other_number, app="careful", page=True, address=one.address)
    before.send()
    one.app, one.page = "careful", True
    answer = one.send(sure=False)
    about = {"counter": 1.0, "threshold": 1.0, "window": 3600.0}
    one.refuse(answer, "human_check_required", rule="address", **about)
    one.send(human_proof=encoded(proof(answer.json()["human_check"])))
    message = one.arrives("sms")
    one.wrong(dice.randrange(2))
    one.right(message)


def is_decided(one: Person, dice: random.Random) -> None:
    """The app's own endpoint refuses, or lets it in."""
    one.app = "decided"
    if dice.random() < 0.5:
        one.service.decider.answers[one.number] = "refuse"
        one.refuse(one.send(sure=False), "no_route", rule="decision")
        one.service.decider.answers[one.number] = "allow"
    one.send()
    one.right(one.arrives("sms"))


def has_no_route(one: Person, dice: random.Random) -> None:
    """What is refused before any rule is asked: a number that is none, a channel that there is not."""
    if dice.random() < 0.5:
        one.number, before = "+1 202", one.number
        one.refuse(one.send(sure=False), "invalid_number", route="")
        one.number = before
    answer = one.send(sure=False, route="alone", channel="voice")
    one.refuse(answer, "channel_not_available", route="", channel="voice")
    one.send()
    one.right(one.arrives("sms"))


def is_told(one: Person, dice: random.Random) -> None:
    """The app hears of each step."""
    one.app = "watched"
    one.send()

    def hears(event: str) -> None:
        one.service.events.wait(lambda posts: any(_is_about(post.body, event, one.id) for post in posts))
        one.plan_step("told", reason=f"challenge.{event}")

    message = one.arrives("sms")
    hears("sent")
    one.report(message, "delivered")
    hears("delivered")
    one.wrong(dice.randrange(2))
    one.right(message)
    hears("verified")


def _is_about(body: bytes, event: str, id_: str) -> bool:
    said = json.loads(body)
    return bool(said["type"] == f"challenge.{event}" and said["data"].get("challenge_id") == id_)


def reviews(one: Person, _dice: random.Random) -> None:
    """The number is a reviewer's: nothing is sent, and its token is not taken unless that is asked for."""
    one.opened(one.send(sure=False), result="review")
    answer = one.guess(one.review_code)
    assert answer.status_code == 200, answer.text
    one.plan_step("guessed", request_id=_request(answer), result="right")
    one.ends("verified", request_id=_request(answer))
    body = {"token": answer.json()["token"]}
    assert one.call("POST", "/otp/token/redeem", body).json()["code"] == "review_token"
    answer = one.call("POST", "/otp/token/redeem", {**body, "accept_review": True})
    assert answer.status_code == 200, answer.text
    one.plan_step("redeemed", request_id=_request(answer))


BEFORE: dict[Act, int] = {expires: 5}
"""Journeys under the first policy, whose challenges expire soon, and how many there are of each."""
AFTER: dict[Act, int] = {
    verifies: 10,
    exhausts: 4,
    cancels: 4,
    resends: 5,
    chooses: 3,
    fails: 4,
    is_refused: 2,
    waits: 3,
    changes_account: 2,
    is_undeliverable: 2,
    skips: 2,
    reports_late: 2,
    is_limited: 2,
    proves_human: 3,
    is_decided: 3,
    has_no_route: 2,
    is_told: 1,
    reviews: 1,
}
"""Journeys under those that follow."""

"""A whole core in which a number can do everything that leaves a trace, and the store behind it, laid open."""

import base64
import secrets
from dataclasses import dataclass, replace
from typing import Any

import pytest
from redis import Redis

from otp_service.bootstrap.core import Core
from otp_service.errors import NoRoute, TooManyRequests, WrongCode
from otp_service.guard.history import RECYCLED
from otp_service.guard.slot import Slot
from otp_service.policy import CHANNELS
from otp_service.upstream.port import Receipt, Reply, Stage
from otp_service.verification.caller import Caller
from otp_service.verification.resend import ResendRequest
from otp_service.verification.send import SendRequest
from tests.conftest import UPSTREAM_TOKEN, make_core
from tests.support.journeys import Upstream, account, four_channels
from tests.support.spine import OPEN_GUARD, seen
from tests.support.valkey_server import ValkeyServer

EVENTS = """
[app.web.events]
url = "https://app.example.com/otp"
secret_env = "OTP_EVENTS_WEB"
"""
GUARD = (
    OPEN_GUARD.replace('mode = "off"', 'mode = "watch"')
    .replace('[guard.cooldown]\nmode = "watch"', '[guard.cooldown]\nladder = ["30s"]')
    .replace("[guard.consecutive]", '[guard.consecutive]\nstep = "5m"')
)
"""All rules count; only the pause between two messages refuses, which makes blocks. What follows a wrong code is in
its pause, however slow the machine is, which makes a block, too."""
ROUTE = """
[[route]]
steps = [
  { channel = "sms", upstream = "main", wait = "10s" },
  { channel = "whatsapp", upstream = "main", wait = "10s" },
  { channel = "voice", upstream = "main" },
]
"""


@dataclass
class House:
    """A core whose app hears of everything, and the store behind it."""

    core: Core
    upstream: Upstream
    stores: list[Redis]

    @property
    def caller(self) -> Caller:
        """A browser behind one address."""
        active = self.core.active()
        return Caller(app=active.policy.apps["web"], active=active, request_id="r" * 16, address="192.0.2.1")

    def kept(self) -> dict[str, Any]:
        """Return every key of this core with its value."""
        found: dict[str, Any] = {}
        for store in self.stores:
            for key in store.scan_iter(f"*{self.core.settings.redis_prefix}*"):
                found[str(key)] = _READ[str(store.type(key))](store, key)
        return found

    def live(self, number: str) -> set[str]:
        """Let a number go through everything; gives the ids of its challenges."""
        core, caller = self.core, replace(self.caller, request_id=secrets.token_urlsafe(12))
        request = SendRequest(to=number, reference="order 7", binding={"amount": "12.00"})
        id_ = core.send.send(caller, request, f"the key for {number}, a page's").challenge_id
        core.dispatcher.dispatch(id_, lambda: False)
        push(core, id_, Stage.SENT)
        push(core, id_, Stage.FAILED)  # on to the next channel
        core.dispatcher.dispatch(id_, lambda: False)
        push(core, id_, Stage.DELIVERED)
        core.scripts.offset += 31_000
        core.resend.resend(caller, id_, ResendRequest(channel="voice"), "once more, over another channel")
        core.dispatcher.dispatch(id_, lambda: False)
        core.check.verify(
            caller, id_, self.upstream.codes["voice"], idempotency_key="the key of a check, a page's"
        )
        core.dispatcher.dispatch(id_, lambda: False)  # tells the app
        running = core.send.send(caller, replace(request, purpose="signup")).challenge_id
        with pytest.raises(TooManyRequests):
            core.send.send(caller, request)  # makes a block
        with pytest.raises(WrongCode):
            core.check.verify(caller, running, "000000", idempotency_key="the key of a check, a page's")
        self.pin(number)
        recycled = Slot(core.settings.redis_prefix).key(RECYCLED, core.seal.index("recycled", number))
        core.scripts.call(
            "put", [recycled], core.store.facts.time(), 3_600_000
        )  # recording it would forget the rest
        core.dispatcher.dispatch(running, lambda: False)
        receive_reply(core, number, "hello")
        core.store.facts.put(f"mobile:{core.seal.index('number', number)}", "yes", 3600)
        receive_reply(core, number, "STOP")
        with pytest.raises(NoRoute):  # as a page is told
            core.send.send(caller, request)
        core.journal.hand_over()
        return {id_, running}

    def pin(self, number: str) -> None:
        """Keep a pin that has ended, which nobody took away."""
        name = f"number {self.core.seal.index('number', number)}"
        pin = {"what": "allow", "by": "anna", "reason": "a test", "at": 0, "until": 1}
        self.core.store.pins.write(name, pin | {"sealed": self.core.seal.close(number, name)})


_READ: dict[str, Any] = {
    "zset": lambda store, key: store.zrange(key, 0, -1, withscores=True),
    "hash": lambda store, key: store.hgetall(key),
    "string": lambda store, key: store.get(key),
    "list": lambda store, key: store.lrange(key, 0, -1),
}


def push(core: Core, id_: str, stage: Stage) -> None:
    """Push a receipt of the newest message, and let a worker tell the app of it."""
    found = seen(core.store, id_).last
    receipt = Receipt(channel=found.channel, stage=stage, reason="", upstream_id=found.upstream_id)
    assert core.receipts.record_receipt("main", receipt) == "changed"
    core.dispatcher.dispatch(id_, lambda: False)


def receive_reply(core: Core, number: str, text: str) -> None:
    """Let a person write over every channel."""
    for channel in CHANNELS:
        core.replies.record_reply("main", Reply(channel=channel, sender=number, text=text))


def open_house(
    store_url: str, servers: list[ValkeyServer], upstream: Upstream, url: str, **changes: object
) -> House:
    """Build a core in whose rings there are two keys, so that older ones count, too."""
    rings = {
        ring: {key_id: secrets.token_bytes(32) for key_id in ("new", "old")}
        for ring in ("number_keys", "lookup_keys")
    }
    text = four_channels(account("main", url), EVENTS)
    text = text.replace(OPEN_GUARD, GUARD)
    text = text[: text.index("[[route]]")] + ROUTE
    secret = "whsec_" + base64.b64encode(b"s" * 32).decode()
    tokens = {"upstream_tokens": {"OTP_UPSTREAM_MAIN_TOKEN": UPSTREAM_TOKEN}}
    core = make_core(
        store_url, "unused", text=text, event_secrets={"OTP_EVENTS_WEB": secret}, **tokens, **rings, **changes
    )
    return House(core, upstream, [server.client() for server in servers])

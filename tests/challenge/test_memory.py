"""How much memory of the store a challenge costs."""

import secrets
from dataclasses import replace

from redis import Redis

from otp_service.challenge.model import Status
from otp_service.challenge.transitions import (
    Next,
    Wait,
)
from otp_service.crypto.code_hashes import Claim, digest_of
from otp_service.guard.slot import CHARGED
from otp_service.policy import Route, StepRule
from otp_service.verification.caller import Caller
from otp_service.verification.send import SendRequest
from tests.support.spine import (
    NUMBERS,
    Spine,
    armed,
    open_spine,
    seen,
    stand_still,
)
from tests.support.valkey_server import ValkeyServer, stored_bytes

EXPIRED_MEANWHILE = -2
"""What PTTL says of a key that is gone."""


def cost(messages: int, steps: int) -> float:
    """Measure the bytes of a pending challenge: its record, schedule, counters, idempotency key and messages."""
    count = 1000
    plan = tuple(
        StepRule(channel=channel, upstreams=("main",), wait=30)
        for channel in ("sms", "whatsapp", "voice", "rcs")[:steps]
    )
    server = ValkeyServer(options={"appendonly": "no"})
    try:
        with open_spine(server, partitions=64) as spine, server.client() as client:
            policy = replace(spine.caller.active.policy, routes=(Route(steps=plan),))
            caller = replace(spine.caller, active=replace(spine.caller.active, policy=policy))
            began = spine.store.facts.time()
            for n in range(count):
                stand_still(spine.store, began)  # windows would have a part more if they moved on meanwhile
                brought_to(spine, caller, NUMBERS[n % len(NUMBERS)], messages)
                if n % 50 == 0:
                    forget_operations(client)
            forget_operations(client)
            return stored_bytes(client) / count
    finally:
        server.close()


def forget_operations(client: Redis) -> None:
    """Delete the guard's operation ids, which last only seconds of the minutes that a challenge is pending."""
    for key in client.scan_iter("*:guard}:o:*", count=10_000):
        left = client.pttl(key)
        assert left == EXPIRED_MEANWHILE or 0 < left <= CHARGED
        client.delete(key)


def brought_to(spine: Spine, caller: Caller, number: str, messages: int) -> None:
    """Send with an idempotency key. All messages fail except the last, which is accepted."""
    store, key = spine.store, secrets.token_urlsafe(16)
    id_ = spine.send.send(caller, SendRequest(to=number), key).challenge_id
    for place in range(messages):
        challenge = seen(store, id_)
        claim = Claim(id_, challenge.purpose, "")
        reference, upstream_id = secrets.token_urlsafe(21), secrets.token_hex(19)
        code_hash = spine.hasher.hash("123456", claim, challenge.scheme)
        lease, _ = armed(store, id_, digest_of(code_hash), reference)
        left = challenge.expires - lease.now
        store.challenges.index_message(secrets.token_urlsafe(16), id_, left)
        is_last = place == messages - 1
        store.challenges.settle(
            lease,
            Wait(27) if is_last else Next((place + 1) % len(challenge.plan.steps)),
            reference=reference,
            status=Status.ACCEPTED if is_last else Status.REFUSED,
            reason="" if is_last else "no_credits",
            upstream_id=upstream_id,
        )


def test_a_pending_challenge_costs_at_most_a_kib() -> None:
    """This is all that is stored for a challenge with one accepted message, with its share of the store's tables."""
    assert 512 < cost(messages=1, steps=1) <= 1000

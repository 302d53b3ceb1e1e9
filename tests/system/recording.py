"""A store as one version leaves it, written down so that later versions can be tested with it.

python -m tests.system.recording tests/system/recorded/1.0.0.json

It is made through the product's own API: people on every part of the way, and what operators did. Values are as they
are in the store; bytes that are no text stand as Latin-1. The secrets are these tests' own and protect nothing.
"""

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from redis import Redis

from otp_service import __version__
from otp_service.ops.audit import AuditNote
from otp_service.ops.pins import Pin
from otp_service.sandbox import create_sandbox
from otp_service.store.layout import LAYOUT
from otp_service.upstream.port import Reply
from tests.conftest import POLICY, UPSTREAM_TOKEN
from tests.support.http_api import Api, close, make_api, wrong
from tests.support.numbers import crowd
from tests.support.sandbox_server import Serving, usual
from tests.support.spine import OPEN_GUARD
from tests.support.valkey_server import ValkeyServer

FOLDER = Path(__file__).with_name("recorded")
PREFIX = "recorded"
KEY = "key-of-a-send"
AUDIT = AuditNote(by="anna", reason="a test")
TEXT = (
    POLICY[: POLICY.index("[[route]]")].replace(
        "connect_timeout", 'whatsapp = { sender = "919000000001", template = "otp_login" }\nconnect_timeout'
    )
    + OPEN_GUARD.replace('["1000000/d"]', '["3/h"]\ntrickle = []')
    + """
[challenge]
max_sends = 3
cooldown = ["20s"]
[[route]]
steps = [
  { channel = "sms", upstream = "main", wait = "10s" },
  { channel = "whatsapp", upstream = "main", wait = "10s" },
]
"""
)
"""The policy: three messages an hour to a number, and no other limit."""


def _secret(name: str) -> bytes:
    return hashlib.sha256(f"only for tests: {name}".encode()).digest()


SECRETS: Mapping[str, object] = {
    **{name: {"r1": _secret(name)} for name in ("peppers", "number_keys", "lookup_keys")},
    **{name: {"r1": _secret(name)} for name in ("signing_keys", "device_keys")},
    "subject_key": _secret("subject_key"),
    "redis_prefix": PREFIX,
}


@dataclass(frozen=True)
class Recording:
    """What a file holds: the version, its layout, the store's time, what people know, and all keys."""

    version: str
    layout: int
    at: int
    """Milliseconds since 1970."""
    people: dict[str, dict[str, Any]]
    """By what they are an example of: number, and challenge, code or token where they have one."""
    keys: dict[str, dict[str, Any]]
    """By name: type, value, and milliseconds to live (0: for good)."""


@contextmanager
def product(valkey: ValkeyServer) -> Iterator[Api]:
    """Run the product on a store, with the secrets of recordings and a sandbox as its upstream."""
    sandbox = create_sandbox(usual(tokens=frozenset({UPSTREAM_TOKEN})))
    serving = Serving(sandbox)
    api = make_api(valkey, serving.url, TEXT, **SECRETS)
    api.flask.extensions["test_sandbox"] = sandbox
    api.core.layout.refresh()
    try:
        yield api
    finally:
        close(api)
        sandbox.extensions["sandbox"].close()
        serving.close()


def live(api: Api) -> dict[str, dict[str, Any]]:
    """Let people and operators do what leaves something; gives what the people know."""
    names = ("guessed", "cooling", "proven", "spent", "limited", "stopped", "pinned", "repeated", "waiting")
    people: dict[str, dict[str, Any]] = {
        name: {"number": number} for name, number in zip(names, islice(crowd(), len(names)), strict=True)
    }
    issued, _ = api.core.keyring.issue("secret", "web", by="anna", label="for a test")
    revoked, record = api.core.keyring.issue("secret", "web", by="anna")
    api.core.keyring.revoke(record.id, by="anna", reason="a test")
    people["backend"] = {"key": issued, "revoked": revoked}
    api.core.policies.apply(TEXT.replace("UPSTREAM/", "http://127.0.0.1:9/"), author="anna", reason="a test")
    for _ in range(3):
        api.opened(people["limited"]["number"])
        api.later(30)
    answer = api.send(people["limited"]["number"])
    assert answer.status_code == 429, answer.text
    for name in ("guessed", "proven", "spent", "cooling", "waiting"):
        person = people[name]
        person["challenge"], person["code"] = api.sent(person["number"], reference=f"order-{name}")
    guessed = people["guessed"]
    for _ in range(2):
        assert api.verify(guessed["challenge"], wrong(guessed["code"])).status_code == 400
    for name in ("proven", "spent"):
        person = people[name]
        answer = api.verify(person["challenge"], person["code"])
        person["token"] = (answer.json or {})["token"]
    assert api.redeem(people["spent"]["token"]).status_code == 200
    repeated = {"to": people["repeated"]["number"]}
    answer = api.call("POST", "/otp/send", body=repeated, headers={"Idempotency-Key": KEY})
    assert answer.status_code == 202, answer.text
    people["repeated"]["challenge"] = (answer.json or {})["challenge_id"]
    api.core.replies.record_reply(
        "main", Reply(channel="sms", sender=people["stopped"]["number"], text="STOP")
    )
    api.core.pins.write(Pin(kind="number", subject=people["pinned"]["number"], what="refuse"), AUDIT)
    api.core.journal.hand_over()
    return people


def record() -> Recording:
    """Make a recording of this version."""
    server = ValkeyServer()
    try:
        with product(server) as api:
            people = live(api)
            at = api.core.store.facts.time()
        with Redis(unix_socket_path=str(server.socket)) as client:
            keys = {name.decode(): _kept(client, name) for name in sorted(client.scan_iter("*"))}
    finally:
        server.close()
    return Recording(__version__, LAYOUT, at, people, keys)


def read(path: Path) -> Recording:
    """Read a recording."""
    return Recording(**json.loads(path.read_text()))


def restore(recording: Recording, client: Redis, *, later: bool = False) -> None:
    """Put a recording into a store, in place of what is there under its prefix.

    With `later`, each record has a field more than this version knows, as a later one of its layout may add.
    """
    for old in client.scan_iter(f"*{PREFIX}*"):
        client.delete(old)
    for name, kept in recording.keys.items():
        value = _with_field(kept["value"]) if later else kept["value"]
        _WRITE[kept["type"]](client, name, _bytes(value))
        if kept["ttl"]:
            client.pexpire(name, kept["ttl"])


LATER = {"of_a_later_version": {"a": "word", "and": 1}}


def _with_field(value: Any) -> Any:  # noqa: ANN401 - as in a recording
    if isinstance(value, dict):
        return {name: _with_field(one) for name, one in value.items()}
    if isinstance(value, str) and value.startswith("{"):
        return json.dumps(json.loads(value) | LATER, ensure_ascii=False)
    return [_with_field(one) for one in value] if isinstance(value, list) else value


def _kept(client: Redis, name: bytes) -> dict[str, Any]:
    kind = str(_text(client.type(name)))
    return {"type": kind, "value": _text(_READ[kind](client, name)), "ttl": max(0, int(client.pttl(name)))}


_READ: dict[str, Any] = {
    "string": lambda client, name: client.get(name),
    "hash": lambda client, name: client.hgetall(name),
    "zset": lambda client, name: client.zrange(name, 0, -1, withscores=True),
    "list": lambda client, name: client.lrange(name, 0, -1),
    "set": lambda client, name: sorted(client.smembers(name)),
}
_WRITE: dict[str, Any] = {
    "string": lambda client, name, value: client.set(name, value),
    "hash": lambda client, name, value: client.hset(name, mapping=value),
    "zset": lambda client, name, value: client.zadd(name, dict(value)),
    "list": lambda client, name, value: client.rpush(name, *value),
    "set": lambda client, name, value: client.sadd(name, *value),
}


def _text(value: Any) -> Any:  # noqa: ANN401 - what the store answers
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, dict):
        return {_text(name): _text(one) for name, one in value.items()}
    return [_text(one) for one in value] if isinstance(value, list | tuple) else value


def _bytes(value: Any) -> Any:  # noqa: ANN401 - as above
    if isinstance(value, str):
        return value.encode("latin-1")
    if isinstance(value, dict):
        return {_bytes(name): _bytes(one) for name, one in value.items()}
    return [_bytes(one) for one in value] if isinstance(value, list) else value


def main() -> int:
    """Write a recording to the path that is given."""
    Path(sys.argv[1]).write_text(json.dumps(record().__dict__, indent=1, sort_keys=True) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

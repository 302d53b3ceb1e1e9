"""The HTTP API as tests call it: every answer is held against openapi.yaml and kept."""

import json
import re
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from functools import cache
from http import HTTPStatus
from typing import Any

import yaml
from flask import Flask
from openapi_schema_validator import OAS31Validator
from redis import Redis
from werkzeug.test import TestResponse

from otp_service.bootstrap.core import Core
from otp_service.http import app as http_app
from otp_service.telemetry.metrics import Metrics
from tests.conftest import OPS, POLICY, SECRET, make_core
from tests.house import openapi_document
from tests.support.valkey_server import ValkeyServer

NUMBER = "+12025550100"
UPSTREAM_TOKEN = "0123456789abcdef0123456789abcdef"
NOBODY = "http://127.0.0.1:9"
GOOD = POLICY.replace("UPSTREAM/", f"{NOBODY}/")
"""A policy whose upstream nobody answers for."""
SPLIT = GOOD.replace(
    GOOD[GOOD.index("[[route]]") :],
    '[[route]]\nname = "all"\nsplit = { share = 0.5, order = ["voice", "sms"] }\n'
    'steps = [{ channel = "sms", upstream = "main" }, { channel = "voice", upstream = "main" }]\n',
).replace("\nsms = {", '\nvoice = { bridge = "918045000001" }\nsms = {')
"""The same with a split."""
Run = Callable[..., tuple[int, str, str]]
"""Runs a command and returns exit code, output and errors."""
NO_ID = "00" + "A" * 22
"""A challenge id of the right form that was never given."""
NOTHING: Any = object()
CACHED_PATHS = {"/.well-known/jwks.json", "/otp/human-check/widget.js", "/otp.js", "/otp.mjs", "/errors"}
"""Paths whose answers are the same for all, so that caches may keep them."""


@cache
def documented() -> Any:  # noqa: ANN401 - YAML
    """Return what openapi.yaml says."""
    return yaml.load(openapi_document.document(openapi_document.application()), yaml.CSafeLoader)


def operation_at(method: str, path: str) -> Any:  # noqa: ANN401 - a part of YAML, None for an unknown call
    """Return what openapi.yaml says of a call."""
    for template, item in sorted(documented()["paths"].items(), key=lambda pair: "{" in pair[0]):
        numbers = re.sub(r"\{(number|old|new)\}", "[0-9]+", template)
        if re.fullmatch(re.sub(r"\{[^}]+\}", "[^/]+", numbers), path) and method.lower() in item:
            return item[method.lower()]
    return None


def check_contract(method: str, path: str, answer: TestResponse) -> None:
    """Hold an answer against openapi.yaml: status, type, headers and every member of the body."""
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Request-Id"]
    assert "Origin" in answer.vary
    if answer.status_code >= 400 or path not in CACHED_PATHS:
        assert answer.headers["Cache-Control"] == "no-store"
    if method == "OPTIONS":
        assert answer.status_code in {200, 204}
        return
    operation = operation_at("GET" if method == "HEAD" else method, path)
    if operation is None:
        assert answer.status_code in {404, 405}, f"{method} {path} is not in openapi.yaml"
    response = _response(operation, answer.status_code)
    assert response, f"{method} {path} does not document {answer.status_code}"
    for name in _DOCUMENTED_HEADERS & set(answer.headers.keys()):
        assert name in response["headers"], (
            f"{method} {path} does not document {name} of {answer.status_code}"
        )
    if answer.status_code == HTTPStatus.NOT_MODIFIED:
        return
    assert answer.mimetype in response["content"], f"{method} {path} does not document {answer.mimetype}"
    if method != "HEAD" and answer.is_json:
        assert answer.text.endswith("}\n")
    content = response["content"][answer.mimetype]
    if (answer.mimetype or "").endswith("json") and method != "HEAD":
        schema = {**content["schema"], "components": documented()["components"]}
        OAS31Validator(schema).validate(answer.json)
    if answer.mimetype == "application/problem+json" and method != "HEAD":
        code = (answer.json or {})["code"]
        assert code in codes_of(content), f"{method} {path} does not document {code}"


_DOCUMENTED_HEADERS = {"Allow", "ETag", "RateLimit", "RateLimit-Policy", "Retry-After", "WWW-Authenticate"}
"""Headers that an operation's answer must name, beside those that every answer has."""


def _response(operation: Any, status: int) -> Any:  # noqa: ANN401 - a part of YAML
    """Return what openapi.yaml says of an answer of a call, or of a call that there is not."""
    if operation is None:
        responses = documented()["components"]["responses"]
        return responses["NotFound" if status == HTTPStatus.NOT_FOUND else "Unread"]
    responses = operation["responses"]
    return followed(responses.get(str(status)) or responses["default"])


def followed(part: Any) -> Any:  # noqa: ANN401 - a part of YAML
    """Return a part of openapi.yaml, or what it refers to."""
    while "$ref" in part:
        found: Any = documented()
        for step in part["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        part = found
    return part


def codes_of(content: Any) -> set[str]:  # noqa: ANN401 - a part of YAML
    """Return the codes of the problems that an answer may have."""
    return set(content["examples"]) if "examples" in content else {content["example"]["code"]}


@dataclass
class Api:
    """A client of one application. Each answer is held against openapi.yaml and kept in `answers`."""

    core: Core
    flask: Flask
    store: Redis
    answers: list[TestResponse] = field(default_factory=list)

    def call(
        self,
        method: str,
        path: str,
        *,
        key: str | None = SECRET,
        origin: str | None = None,
        body: Any = NOTHING,  # noqa: ANN401 - whatever a stranger may send
        raw: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        address: str = "192.0.2.1",
    ) -> TestResponse:
        """Make a request; `raw` goes out as it is, `body` as JSON."""
        sent = dict(headers or {})
        if key is not None:
            sent.setdefault("Authorization", f"Bearer {key}")
        if origin is not None:
            sent["Origin"] = origin
        if body is not NOTHING:
            raw = json.dumps(body).encode()
        if raw is not None:
            sent.setdefault("Content-Type", "application/json")
        answer = self.flask.test_client().open(
            path, method=method, headers=sent, data=raw, environ_overrides={"REMOTE_ADDR": address}
        )
        check_contract(method, path.partition("?")[0], answer)
        self.answers.append(answer)
        return answer

    def send(self, to: str = NUMBER, *, key: str = SECRET, **fields: object) -> TestResponse:
        """POST /otp/send."""
        return self.call("POST", "/otp/send", key=key, body={"to": to, **fields})

    def opened(self, to: str = NUMBER, **fields: Any) -> str:  # noqa: ANN401 - those of `send`
        """Send, and give the challenge's id."""
        answer = self.send(to, **fields)
        assert answer.status_code == 202, answer.text
        return str(answer.json["challenge_id"]) if answer.json else ""

    def verify(
        self,
        challenge_id: str,
        code: str,
        *,
        key: str = SECRET,
        once: str | None = None,
        **fields: Any,  # noqa: ANN401 - JSON
    ) -> TestResponse:
        """POST /otp/verify; `once` is the Idempotency-Key."""
        body = {"challenge_id": challenge_id, "code": code, **fields}
        return self.call("POST", "/otp/verify", key=key, body=body, headers=idempotent(once))

    def status(self, challenge_id: str, *, key: str = SECRET) -> TestResponse:
        """GET /otp/{id}."""
        return self.call("GET", f"/otp/{challenge_id}", key=key)

    def resend(self, challenge_id: str, **options: Any) -> TestResponse:  # noqa: ANN401 - those of `call`
        """POST /otp/{id}/resend."""
        return self.call("POST", f"/otp/{challenge_id}/resend", **options)

    def cancel(self, challenge_id: str, *, key: str = SECRET) -> TestResponse:
        """DELETE /otp/{id}."""
        return self.call("DELETE", f"/otp/{challenge_id}", key=key)

    def redeem(
        self,
        token: str,
        *,
        key: str = SECRET,
        once: str | None = None,
        **fields: Any,  # noqa: ANN401 - JSON
    ) -> TestResponse:
        """POST /otp/token/redeem; `once` is the Idempotency-Key."""
        body = {"token": token, **fields}
        return self.call("POST", "/otp/token/redeem", key=key, body=body, headers=idempotent(once))

    def clock(self) -> float:
        """Give the time that scripts see (seconds)."""
        seconds, micros = self.store.time()
        return float(seconds + micros / 1e6 + self.core.scripts.offset / 1e3)

    def later(self, seconds: float) -> None:
        """Move the store's clock."""
        self.core.scripts.offset += int(seconds * 1000)

    def lose_workers(self) -> None:
        """Let no worker have been heard of for too long, and let this be news however slow the machine is."""
        workers = self.core.workers
        workers._clock = lambda: 0.0  # noqa: SLF001 - it is made with its core
        workers.refresh()
        self.later(self.core.settings.worker_silence)
        workers.refresh()

    def dispatch(self, challenge_id: str) -> None:
        """Do what a worker does when a challenge is due."""
        self.core.dispatcher.dispatch(challenge_id, lambda: False)

    def messages(self) -> list[str]:
        """Return the texts that reached the sandbox, newest first."""
        rows = self.flask.extensions["test_sandbox"].test_client().get("/inbox").json
        return [row["text"] for row in rows]

    def code(self) -> str:
        """Return the code of the newest message."""
        match = re.search(r"\b[0-9]{6,10}\b", self.messages()[0])
        assert match
        return match[0]

    def sent(self, to: str = NUMBER, **fields: Any) -> tuple[str, str]:  # noqa: ANN401 - those of `send`
        """Send and let a worker deliver; return the challenge's id and the code that arrived."""
        challenge_id = self.opened(to, **fields)
        self.dispatch(challenge_id)
        return challenge_id, self.code()

    def won(self, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - those of `send`
        """Send, deliver and verify; return the answer of the verify."""
        challenge_id, code = self.sent(**fields)
        answer = self.verify(challenge_id, code)
        assert answer.status_code == 200, answer.text
        won: dict[str, Any] = answer.json or {}
        return won

    def kept(self) -> dict[str, object]:
        """Return all that the store holds: schedule, charges, challenges and spent tokens."""
        found: dict[str, object] = {}
        for key in sorted(self.store.keys(f"*{self.core.settings.redis_prefix}*")):
            found[str(key)] = _READ[str(self.store.type(key))](self.store, str(key))
        return found

    def forget(self, challenge_id: str) -> None:
        """Drop a challenge's record, as its TTL does in the end."""
        prefix = self.core.settings.redis_prefix
        assert self.store.delete(f"{{{prefix}:{challenge_id[:2]}}}:c:{challenge_id[2:]}") == 1


_READ: dict[str, Callable[[Redis, str], object]] = {
    "zset": lambda store, key: store.zrange(key, 0, -1, withscores=True),
    "hash": lambda store, key: store.hgetall(key),
    "string": lambda store, key: store.get(key),
    "set": lambda store, key: store.smembers(key),
}


def idempotent(key: str | None) -> dict[str, str]:
    """Return the header that names an idempotency key, if there is one."""
    return {} if key is None else {"Idempotency-Key": key}


def has_code(text: str, code: str) -> bool:
    """Tell whether a text has a code. A part of a longer number, or of what follows its point, is none."""
    return re.search(rf"(?<![0-9.]){code}(?![0-9])", text) is not None


def wrong(code: str) -> str:
    """Return another code of the same length."""
    return f"{(int(code) + 1) % 10 ** len(code):0{len(code)}d}"


class _FailingMetrics(Metrics):
    """Metrics whose page fails unexpectedly."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def page(self, *, shared: bool) -> bytes:
        raise RuntimeError(f"{self._text}, shared: {shared}")


def call_failing(api: Api, text: str) -> TestResponse:
    """Make a request that fails with an unexpected error of this text."""
    core = copy(api.core)
    core.metrics = _FailingMetrics(text)
    return replace(api, flask=http_app.web(core)).call("GET", "/metrics", key=OPS)


def make_api(valkey: ValkeyServer, upstream_url: str = NOBODY, text: str = POLICY, **changes: object) -> Api:
    """Build an application with a policy and settings of its own."""
    core = make_core(valkey.url, upstream_url, text=text, **changes)
    core.live_keys.refresh()
    return Api(core, http_app.web(core), valkey.client())


def close(api: Api) -> None:
    """Close all connections."""
    api.store.close()
    api.core.close()

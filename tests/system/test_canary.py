"""No code, key, token or whole number anywhere it does not belong, after a run of every kind of request and failure."""

import itertools
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
from redis import Redis

from otp_service.alerts.bulletin import AlertType
from otp_service.events import signing_secrets
from otp_service.events.standard_webhooks import EventType
from tests.support.demo_process import Demo
from tests.support.endpoint import Endpoint, Post
from tests.support.http_api import wrong
from tests.support.numbers import crowd
from tests.support.patience import PATIENCE

pytest_plugins = ("tests.support.demo_fixtures",)
SENDS = 80
KEY_FILES = ("demo.json", "shop.json", "keys.json")
"""Ordinary sends: twenty over each channel, of which every fifth is cancelled."""
CHANNELS = ("sms", "whatsapp", "voice", "rcs")
CLOSING = {"rate_limited": "throttled", "unavailable": "unavailable", "unauthenticated": "bad_token"}
"""Ways to fail after which the whole account is left alone for a while, with their names in the log."""
EVENT_SECRETS = (signing_secrets.draw_secret(), signing_secrets.draw_secret())


REVIEWED = "+12025550150"
"""A number for the reviewers of an app store."""
_REVIEW_TABLE = re.compile(
    rf"\[app\.demo\.review\.(?P<quote>\\*\"|&#34;|&quot;){re.escape(REVIEWED)}(?P=quote)\]"
)


class Answers:
    """Remembers every answer of the API, body and headers, but for the tokens it is meant to give out."""

    def __init__(self, demo: Demo) -> None:
        self.texts: list[str] = []
        self.tokens: list[str] = []
        self.reviewed: list[str] = []
        """The code that reviewers know."""
        self._demo = demo

    def proofs(self, token: str) -> None:
        """Take back the newest answer, which gave out a token; neither it nor its parts may stand anywhere else."""
        self.texts.pop()
        self.tokens += [token, *token.split(".")[1:]]

    def call(self, *arguments: object, **options: object) -> requests.Response:
        """Call the API and remember what came back."""
        answer = self._demo.call(*arguments, **options)  # type: ignore[arg-type]
        self.texts.append(f"{answer.status_code} {dict(answer.headers)} {answer.text}")
        return answer


def found(needles: Iterable[str], haystack: str) -> set[str]:
    """Find needles that stand alone: a run of digits inside a longer word or figure is chance.

    The policy names a review number as a table; there, and nowhere else, it may stand.
    """
    haystack = _REVIEW_TABLE.sub("", haystack)
    words = set(re.findall(r"(?<![\w.+/=-])\+?[\w-]+(?![\w+/=-])", haystack))
    return {needle for needle in needles if needle in words or (len(needle) > 10 and needle in haystack)}


def test_the_search_finds_what_it_should() -> None:
    """A canary test that could not find anything would prove nothing."""
    assert found(["123456"], '{"code": "123456"}') == {"123456"}
    assert found(["123456"], "$6\r\n123456\r\n") == {"123456"}
    assert found(["123456"], "at 1795455123456 and 0.123456") == set()
    assert found(["+12025550100"], "to=+12025550100&x") == {"+12025550100"}
    assert found(["12025550100"], "x12025550100y") == {"12025550100"}
    table = f'[app.demo.review."{REVIEWED}"]'
    assert found([REVIEWED], f"{table} {json.dumps(table)}") == set()
    assert found([REVIEWED], f"{table} and {REVIEWED}") == {REVIEWED}
    assert found([REVIEWED], table.replace("review", "other")) == {REVIEWED}


@dataclass(frozen=True)
class Run:
    """One demo, what its API answered, what its app was told, and when the log was complete."""

    demo: Demo
    answers: Answers
    endpoint: Endpoint


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, ending: list[Demo]) -> Iterator[Run]:
    """A demo after sends and checks over every channel, and failures of every kind.

    The failures come last: some of them close the whole account for seconds, and all others would wait behind them.
    """
    with closing(Endpoint(says=f"{next(crowd())}_{EVENT_SECRETS[0]}")) as endpoint:
        for status in (500, 302, 429):
            endpoint.statuses.put(status)
        environment = {
            "OTP_LOG_LEVEL": "debug",
            "OTP_PRIVATE_EVENTS": "yes",
            "OTP_EVENTS_DEMO": ",".join(EVENT_SECRETS),
        }
        demo = Demo(tmp_path_factory.mktemp("canary"), environment=environment)
        try:
            answers = Answers(demo)
            _use(demo, answers, endpoint)
            yield Run(demo, answers, endpoint)
        finally:
            demo.end()
            ending.append(demo)


def _use(demo: Demo, answers: Answers, endpoint: Endpoint) -> None:
    _post_events_to(demo, answers, endpoint)
    people = crowd()
    for place, number in enumerate(itertools.islice(people, SENDS)):
        _exercise(demo, answers, place, number)
    _guess_too_often(demo, answers, next(people))
    _write_back(demo, answers, next(people))
    _review(demo, answers)
    _misuse(demo, answers)
    _push(demo, answers)
    _operate(demo, answers)
    _fail(demo, answers)
    endpoint.wait(
        lambda posts: _kinds(posts) >= {*EventType, AlertType.FIRING} and _delivered(posts) == set(CHANNELS)
    )


def _kinds(posts: Iterable[Post]) -> set[str]:
    return {json.loads(post.body)["type"] for post in posts}


def _delivered(posts: Iterable[Post]) -> set[str]:
    events = [json.loads(post.body) for post in posts]
    return {event["data"]["channel"] for event in events if event["type"] == EventType.DELIVERED}


def _post_events_to(demo: Demo, answers: Answers, endpoint: Endpoint) -> None:
    """Have the demo's app hear of its challenges, and operators of what needs them."""
    text = (demo.var / "policy.toml").read_text()
    there = f'url = "{endpoint.url}"\nsecret_env = "OTP_EVENTS_DEMO"\n'
    text += f"[app.demo.events]\n{there}[alerts]\n{there}"
    text = text.replace(
        "[upstream.sandbox]", "[upstream.sandbox]\nlow_balance = 1e9", 1
    )  # an alert that lasts
    text = text.replace(
        "[challenge]", "[challenge]\ncode_length = 10", 1
    )  # six digits may be an hour's or a process's, too
    applied = answers.call("PUT", "/ops/policy", {"text": text, "reason": "to hear"}, key="ops_key")
    demo.wait_for_policy(applied.json()["version"])


def _exercise(demo: Demo, answers: Answers, place: int, number: str) -> None:
    channel = CHANNELS[place % len(CHANNELS)]
    body = {"to": number, "channel": channel, "reference": f"r-{place}", "binding": {"amount": "12.00"}}
    challenge = answers.call("POST", "/otp/send", body, Idempotency_Key=f"key-{place:022}").json()[
        "challenge_id"
    ]
    answers.call("POST", "/otp/send", body, Idempotency_Key=f"key-{place:022}")
    answers.call("POST", f"/otp/{challenge}/resend")
    code = demo.code(number)
    answers.call("POST", "/otp/verify", {"challenge_id": challenge, "code": wrong(code)})
    answers.call("POST", "/otp/verify", {"challenge_id": challenge, "code": code, "binding": "another"})
    if place % 5 == 0:
        answers.call("DELETE", f"/otp/{challenge}")
    won = answers.call("POST", "/otp/verify", {"challenge_id": challenge, "code": code})
    if won.ok:
        token = won.json()["token"]
        answers.proofs(token)
        answers.call("POST", "/otp/token/redeem", {"token": token}, key="secret_key")
        answers.texts.pop()  # holds the number: this answer is what the proof is for
        answers.call("POST", "/otp/token/redeem", {"token": token}, key="secret_key")
        answers.call("POST", "/otp/token/redeem", {"token": token[:-4] + "AAAA"}, key="secret_key")
        answers.call("POST", "/otp/token/redeem", {"token": token})


def _guess_too_often(demo: Demo, answers: Answers, number: str) -> None:
    challenge = answers.call("POST", "/otp/send", {"to": number}).json()["challenge_id"]
    guess = wrong(demo.code(number))
    for _ in range(6):
        answers.call("POST", "/otp/verify", {"challenge_id": challenge, "code": guess})


def _review(demo: Demo, answers: Answers) -> None:
    """Add a number for reviewers, and let them in and out in every way; what is added may stay in use for days."""
    command = [sys.executable, "-m", "otp_service", "review", "--demo", str(demo.var)]
    added = subprocess.run(
        [*command, "add", REVIEWED, "--app", "demo", "--purpose", "login", "--reason", "a review"],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    said = re.fullmatch(r"code: (\d+)   \(shown once\)\nversion (\d+) is in force\n", added.stdout)
    assert said, added.stdout
    code, version = said[1], int(said[2])
    answers.reviewed.append(code)
    answers.texts.append(added.stderr)
    demo.wait_for_policy(version)
    _sign_in(answers, code)
    for key in ("publishable_key", "secret_key"):
        sent = answers.call("POST", "/otp/send", {"to": REVIEWED, "reference": "r-review"}, key=key)
        id_ = sent.json()["challenge_id"]
        answers.call("POST", f"/otp/{id_}/resend", key=key)
        answers.call("GET", f"/otp/{id_}", key=key)
        answers.call("DELETE", f"/otp/{id_}", key=key)
        answers.call("POST", "/otp/options", {"to": REVIEWED}, key=key)
    for method, path, body in (
        ("POST", "/ops/policy/simulate", {"to": REVIEWED}),
        ("POST", "/ops/blocks/explain", {"to": REVIEWED}),
        ("POST", "/ops/suppressions/look", {"to": REVIEWED}),
        ("GET", f"/ops/policy/diff/{version - 1}/{version}", None),
        ("GET", f"/ops/policy/{version}", None),
    ):
        answers.call(method, path, body, key="ops_key")
    _read_stories(answers, REVIEWED)
    subprocess.run(
        [*command, "remove", REVIEWED, "--app", "demo", "--reason", "it is over"],
        capture_output=True,
        timeout=PATIENCE,
        check=True,
    )


def _sign_in(answers: Answers, code: str) -> None:
    """Type a wrong code and the one that reviewers know, and redeem the token as one that proves nothing."""
    id_ = answers.call("POST", "/otp/send", {"to": REVIEWED, "purpose": "login"}).json()["challenge_id"]
    answers.call("POST", "/otp/verify", {"challenge_id": id_, "code": wrong(code)})
    won = answers.call("POST", "/otp/verify", {"challenge_id": id_, "code": code})
    token = won.json()["token"]
    answers.proofs(token)
    answers.call("POST", "/otp/token/redeem", {"token": token}, key="secret_key")
    redeemed = {"token": token, "accept_review": True}
    assert answers.call("POST", "/otp/token/redeem", redeemed, key="secret_key").ok
    answers.texts.pop()  # holds the number, as any proof does
    answers.call("POST", "/otp/token/redeem", redeemed, key="secret_key")


def _write_back(demo: Demo, answers: Answers, number: str) -> None:
    """Let a person write STOP, then START, and other things, over each channel that can be written to."""
    for channel in ("sms", "whatsapp", "rcs"):
        for text, refused in (("STOP", True), (f"{number} 123456", True), ("START", False)):
            reply = {"from": number, "channel": channel, "text": text}
            told = demo.session.post(f"{demo.keys['sandbox']}/inbound", json=reply, timeout=PATIENCE)
            assert told.json()["told"] == 1
            demo.wait(lambda: _is_stopped(answers, number) is refused)  # noqa: B023 - it has ended by then
            sent = answers.call("POST", "/otp/send", {"to": number})
            assert (sent.status_code == 202) is not refused


def _is_stopped(answers: Answers, number: str) -> bool:
    found = answers.call("POST", "/ops/suppressions/look", {"to": number}, key="ops_key")
    stopped: bool = found.json()["suppressed"]
    return stopped


def _fail(demo: Demo, answers: Answers) -> None:
    """Send once into each way in which a channel can fail, and wait until each has shown."""
    rows = demo.session.get(f"{demo.keys['sandbox']}/outcomes", timeout=PATIENCE).json()
    ways = {(row["channel"], row["outcome"]): row["number"] for row in rows if row["channel"] in CHANNELS}
    failing = [
        answers.call("POST", "/otp/send", {"to": number, "channel": channel}).json()["challenge_id"]
        for (channel, outcome), number in ways.items()
        if outcome not in CLOSING
    ]
    for challenge in failing:
        demo.wait(lambda: _has_left(answers, challenge))  # noqa: B023 - it has ended by then
    for outcome, reason in CLOSING.items():
        answers.call("POST", "/otp/send", {"to": ways["sms", outcome]})
        demo.wait(lambda: any(event.get("reason") == reason for event in demo.events()))  # noqa: B023 - it has ended by then


def _has_left(answers: Answers, challenge: str) -> bool:
    shown = answers.call("GET", f"/otp/{challenge}").json()["deliveries"]
    return shown[0]["status"] not in {"queued", "sending"}


def _misuse(demo: Demo, answers: Answers) -> None:
    """Put numbers, codes and keys where they do not belong."""
    number, secret = next(crowd()), demo.keys["secret_key"]
    for body in (
        {number: number},
        {"to": number, number: 1},
        {"to": number, "purpose": number},
        {"to": number, "channel": number},
        {"to": number, "locale": number},
        {"to": number, "country": number},
        {"to": number + "0000000000"},
        {"to": [number]},
        {"to": secret},
        number,
    ):
        answers.call("POST", "/otp/send", body)
    answers.call("POST", f"/otp/{number}/resend", {"channel": number})
    answers.call("GET", f"/otp/{number}?to={number}&key={secret}")
    answers.call("GET", f"/{number}/{secret}")
    answers.call("POST", "/otp/verify", {"challenge_id": number, "code": number})
    answers.call("POST", "/otp/token/redeem", {"token": secret}, key="secret_key")
    answers.call("POST", "/otp/send", {"to": number}, Idempotency_Key=f"{number} \x7f", User_Agent=number)
    answers.call(
        "POST", "/otp/send", {"to": number}, Origin=f"https://{number}", Referer=f"https://x/{number}"
    )
    answers.call("TRACE", f"/otp/{number}")
    raw = {"Content-Type": "application/json", "Authorization": f"Bearer {secret}x"}
    for data in (f'{{"to": "{number}"', f'{{"to": "{number}", "to": "{number}"}}', f'{{"to": {number[1:]}}}'):
        for key in (secret, f"{secret}x"):
            sent = demo.session.post(
                demo.keys["api"] + "/otp/send",
                data=data,
                headers=raw | {"Authorization": f"Bearer {key}"},
                timeout=PATIENCE,
            )
            answers.texts.append(sent.text)


def _push(demo: Demo, answers: Answers) -> None:
    """Push receipts and replies with right and wrong secrets, and let a person write STOP."""
    whs, number = demo.keys["webhook_secret"], next(crowd())
    path = "/webhooks/mobtexting/sandbox"
    stop = {"recipient": {"from": number[1:]}, "message": {"payload": {"text": "STOP"}}}
    for body in (
        {"id": "x:1", "mobile": number[1:], "status": "DELIVRD", "custom": "unknown"},
        {"id": "x:1", "mobile": number[1:], "status": number[1:]},
        {"event": "vmn:message:in", "payload": stop},
        {"event": number, number: [number]},
        [number],
    ):
        answers.call("POST", path, body, key="webhook_secret")
        answers.call("POST", f"{path}/{whs}", body)
        answers.call("POST", f"{path}/{whs}x", body)
    answers.call("GET", f"{path}/{whs}?id={number}&status=DELIVRD&mobile={number}")
    answers.call("GET", f"/webhooks/{whs}/{number}")


def _operate(demo: Demo, answers: Answers) -> None:
    """Do all that operators can, with numbers and keys where they do not belong, too."""
    number, text = next(crowd()), (demo.var / "policy.toml").read_text()
    for to in (number, f"{number}00000000"):
        for action in ("policy/simulate", "suppressions/look", "suppressions/lift", "suppressions/look"):
            answers.call("POST", f"/ops/{action}", {"to": to}, key="ops_key")
    for reason in ("a change", "\n"):
        answers.call("PUT", "/ops/policy", {"text": f"{text}\n", "reason": reason}, key="ops_key")
    secret = f'{text}\n[app."{number}"]\nsecret_keys = ["{demo.keys["secret_key"]}"]\n'
    for action in ("policy/check", "policy/simulate"):
        answers.call(
            "POST", f"/ops/{action}", {"text": secret.replace(number, "x"), "to": number}, key="ops_key"
        )
    answers.call("POST", "/ops/policy/check", {"text": secret.replace(number, "x")}, key="ops_key")
    answers.call("POST", "/ops/policy/rollback", {"reason": "back"}, key="ops_key")
    _guard(answers, number)
    _click(demo, answers, number)
    _read_stories(answers, number)
    for path in (
        "blocks",
        "pins",
        "policy",
        "policy/1",
        "policy/history",
        "policy/diff/1/2",
        "figures",
        "upstreams",
    ):
        answers.call("GET", f"/ops/{path}", key="ops_key")
        answers.call("GET", f"/ops/{path}", key="secret_key")


def _click(demo: Demo, answers: Answers, number: str) -> None:
    """Do in the console what operators do, with numbers and keys where they do not belong, too."""
    home, own = f"{demo.keys['api']}/ops/console", {"Sec-Fetch-Site": "same-origin"}
    texts = answers.texts
    with requests.Session() as browser:

        def post(page: str, **fields: str) -> requests.Response:
            answer = browser.post(f"{home}/{page}", data=fields, headers=own, timeout=PATIENCE)
            texts.append(f"{answer.status_code} {dict(answer.headers)} {answer.text}")
            return answer

        for key in (demo.keys["secret_key"], number, demo.keys["ops_key"]):
            post("sign-in", key=key, next=f"/ops/console/{number}")
        page = browser.get(f"{home}/routes", timeout=PATIENCE).text
        token = re.findall(r'name="form_token" value="([^"]+)"', page)[0]
        for path in (
            "",
            "routes",
            "routes/history",
            "blocks",
            "upstreams",
            "keys",
            "audit",
            "audit.csv",
            "find",
            "advice",
        ):
            answer = browser.get(f"{home}/{path}", timeout=PATIENCE)
            assert answer.ok, answer.text
            texts.append(answer.text)
        form = {"form_token": token, "reason": f"because of {number}"}
        for asked in (number, number[2:], next(crowd()), "r-1"):
            post("find", q=asked, **form)
        post("blocks/explain", to=number, **form)
        post("pins", kind="number", subject=number, what="refuse", **form)
        post("blocks", **form)
        post("pins/lift", kind="number", subject=number, **form)
        post("pins/lift", kind="address", subject=number, **form)
        post("blocks/lift", id=number, **form)
        text = (demo.var / "policy.toml").read_text()
        post("routes", act="simulate", to=number, text=text, **form)
        post("routes", act="review", text=f"{text}\n# reviewed", **form)
        post("keys/revoke", id=number, **form)
        post("sign-out", **form)


def _read_stories(answers: Answers, number: str) -> None:
    """Search in every way, and read each timeline."""
    for body in (
        {"number": number},
        {"number": next(crowd())},
        {"reference": "r-1"},
        {"reference": number},
        {"challenge_id": number},
        {"request_id": number},
        {"since": 0, "limit": 100},
        {"since": 0, "reason": number},
    ):
        found = answers.call("POST", "/ops/challenges/search", body, key="ops_key").json()
        for one in found.get("challenges", ()):
            answers.call("GET", f"/ops/challenges/{one['id']}", key="ops_key")
    answers.call("GET", f"/ops/challenges/{number}", key="ops_key")


ADDRESS = "198.51.100.77"
"""A person's address, as a server names it."""


def _guard(answers: Answers, number: str) -> None:
    """Refuse a number, explain it, and let it pass again; with devices, sessions and proofs that are none."""
    pin = {"kind": "number", "subject": number, "what": "refuse", "reason": f"not {number}"}
    answers.call("POST", "/ops/pins", pin, key="ops_key")
    answers.call("POST", "/otp/send", {"to": number, "human_proof": "bm9uZQ==", "device_token": "a.b.c"})
    answers.call("POST", "/otp/send", {"to": number, "session": number, "address": ADDRESS}, key="secret_key")
    answers.call("POST", "/otp/options", {"to": number})
    answers.call("POST", "/otp/options", {"to": f"{number}000", "address": number}, key="secret_key")
    answers.call("POST", "/ops/blocks/explain", {"to": number, "address": "192.0.2.1"}, key="ops_key")
    answers.call("GET", "/ops/pins", key="ops_key")
    answers.call(
        "POST", "/ops/pins/lift", {name: pin[name] for name in ("kind", "subject", "reason")}, key="ops_key"
    )
    answers.call("POST", "/ops/blocks/lift", {"id": number[1:], "reason": "none"}, key="ops_key")
    recycled = {"numbers": [number, f"{number}000"], "reason": "a list"}
    answers.call("POST", "/ops/numbers/recycled", recycled, key="ops_key")


@pytest.fixture(scope="module")
def canaries(run: Run) -> list[str]:
    """All codes, numbers, keys and tokens that were in play."""
    demo = run.demo
    messages = demo.inbox()
    assert {message["channel"] for message in messages} >= set(CHANNELS)
    assert len(messages) > SENDS
    codes = {*(message["code"] for message in messages), *run.answers.reviewed}
    assert {len(code) for code in codes} == {10}
    numbers = {message["to"] for message in messages} | {next(crowd()), REVIEWED}
    keys = [value for name, value in demo.keys.items() if name.endswith(("_key", "_token", "_secret"))]
    secret = ("PEPPERS", "NUMBER_KEYS", "LOOKUP_KEYS", "SUBJECT_KEY", "SIGNING_KEYS", "DEVICE_KEYS")
    keys += [demo.settings[f"OTP_{name}"].rpartition(":")[2] for name in secret]
    plain = {number.removeprefix("+") for number in numbers}
    keys += [
        part for secret in EVENT_SECRETS for part in (secret, secret.removeprefix(signing_secrets.PREFIX))
    ]
    return [
        *codes,
        *numbers,
        *plain,
        *keys,
        *run.answers.tokens,
        ADDRESS,
    ]


def test_nothing_in_the_log(run: Run, canaries: list[str]) -> None:
    """The one log of all processes; the welcome shows the publishable key once, on purpose."""
    demo = run.demo
    events = "\n".join(line for line in demo.log.read_text().splitlines() if line.startswith("{"))
    assert events.count("challenge.opened") >= SENDS
    assert found(canaries, events) == set()


def test_nothing_in_answers_and_metrics(run: Run, canaries: list[str]) -> None:
    """What the API says, in bodies and headers, and what it counts."""
    demo, answers = run.demo, run.answers
    assert found(canaries, "\n".join(answers.texts)) == set()
    assert found(canaries, demo.call("GET", "/metrics", key="ops_key").text) == set()
    assert found(canaries, demo.call("GET", "/ops/upstreams", key="ops_key").text) == set()


def test_nothing_in_events(run: Run, canaries: list[str]) -> None:
    """Every event that an app or operators were told, body and headers, in all tries."""
    posts = run.endpoint.posts
    assert len(posts) > SENDS
    for post in posts:
        assert found(canaries, post.body.decode()) == set()
        assert found(canaries, f"{post.headers}") == set()
        assert post.read(EVENT_SECRETS[0]) == post.read(EVENT_SECRETS[1])


def test_nothing_in_the_files(run: Run, canaries: list[str]) -> None:
    """Every file under var/ but the keys', which are for their owner only; the append-only file is among them."""
    demo = run.demo
    files = [path for path in demo.var.rglob("*") if path.is_file() and path.name not in KEY_FILES]
    assert {(demo.var / name).stat().st_mode & 0o777 for name in KEY_FILES} == {0o600}
    assert any(path.suffix == ".aof" and path.stat().st_size > 100_000 for path in files)
    for path in files:
        assert found(canaries, path.read_bytes().decode("latin-1")) == set(), path


def test_nothing_in_the_store(run: Run, canaries: list[str]) -> None:
    """Every key and value that is live, and each key has a time to live."""
    demo = run.demo
    with _store(demo) as client:
        names = list(client.scan_iter(count=1000))
        dump = "\n".join(f"{name} {_value(client, name)}" for name in names)
        lasting = {name for name in names if client.pttl(name) == -1}
    assert {name.partition(":")[2] for name in lasting} <= {"policy", "layout"}
    assert len(names) > SENDS
    assert '"hash":"' in dump
    assert found(canaries, dump) == set()


def test_only_the_keys_file_holds_keys(run: Run) -> None:
    """The search would have found the keys where they are allowed to be."""
    demo = run.demo
    text = (demo.var / "demo.json").read_text()
    assert found([json.loads(text)["secret_key"]], text)


def _store(demo: Demo) -> Redis:
    environment = Path(f"/proc/{demo.children()['worker']}/environ").read_text().split("\0")
    url = next(line for line in environment if line.startswith("OTP_REDIS_URL=")).partition("=")[2]
    return Redis.from_url(url, decode_responses=True)


def _value(client: Redis, name: str) -> object:
    read: dict[str, Callable[[], object]] = {
        "string": lambda: client.get(name),
        "hash": lambda: client.hgetall(name),
        "zset": lambda: client.zrange(name, 0, -1, withscores=True),
        "list": lambda: client.lrange(name, 0, -1),
        "set": lambda: client.smembers(name),
        "stream": lambda: client.xrange(name),
        "none": lambda: None,  # it has ended meanwhile
    }
    return read[str(client.type(name))]()

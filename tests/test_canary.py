"""No code, key, token or whole number anywhere it does not belong, after hundreds of requests of every kind."""

import itertools
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
import requests
from redis import Redis

from tests.demo_process import Demo
from tests.numbers import crowd

pytestmark = pytest.mark.xdist_group("canary")
SENDS = 500


class Answers:
    """Remembers every answer of the API, body and headers, but for the tokens it is meant to give out."""

    def __init__(self, demo: Demo) -> None:
        self.texts: list[str] = []
        self._demo = demo

    def call(self, *arguments: object, **options: object) -> requests.Response:
        """Call the API and remember what came back."""
        answer = self._demo.call(*arguments, **options)  # type: ignore[arg-type]
        self.texts.append(f"{answer.status_code} {dict(answer.headers)} {answer.text}")
        return answer


def found(needles: Iterable[str], haystack: str) -> set[str]:
    """Find needles that stand alone: a run of digits inside a longer word or figure is chance."""
    words = set(re.findall(r"(?<![\w.+/=-])\+?[\w-]+(?![\w+/=-])", haystack))
    return {needle for needle in needles if needle in words or (len(needle) > 10 and needle in haystack)}


def test_the_search_finds_what_it_should() -> None:
    """A canary test that could not find anything would prove nothing."""
    assert found(["123456"], '{"code": "123456"}') == {"123456"}
    assert found(["123456"], "$6\r\n123456\r\n") == {"123456"}
    assert found(["123456"], "at 1795455123456 and 0.123456") == set()
    assert found(["+12025550100"], "to=+12025550100&x") == {"+12025550100"}
    assert found(["12025550100"], "x12025550100y") == {"12025550100"}


@pytest.fixture(scope="module")
def exercised(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Demo, Answers]]:
    """A demo after 500 sends, verifies, and failures of every kind."""
    demo = Demo(tmp_path_factory.mktemp("canary"), environment={"OTP_LOG_LEVEL": "debug"})
    answers = Answers(demo)
    forced = [row["number"] for row in demo.session.get(f"{demo.keys['sandbox']}/outcomes", timeout=5).json()]
    ours = [number for number in forced if number.startswith("+1")]
    for place, number in enumerate(itertools.islice(itertools.chain(ours, crowd()), SENDS)):
        _exercise(demo, answers, place, number, waits=place >= len(ours))
    _misuse(demo, answers)
    _every_channel(demo, answers)
    _push(demo, answers)
    _operate(demo, answers)
    yield demo, answers
    demo.close()


def _exercise(demo: Demo, answers: Answers, place: int, number: str, *, waits: bool) -> None:
    body = {"to": number, "reference": f"r-{place}", "binding": {"amount": "12.00"}}
    challenge = answers.call("POST", "/otp/send", body, Idempotency_Key=f"key-{place}").json()["challenge_id"]
    answers.call("POST", "/otp/send", body, Idempotency_Key=f"key-{place}")
    answers.call("POST", f"/otp/{challenge}/resend")
    if not waits:
        return  # a forced outcome: slow, refused or broken
    code = demo.code(number)
    wrong = "000000" if code != "000000" else "111111"
    answers.call("POST", "/otp/verify", {"challenge_id": challenge, "code": wrong})
    answers.call("POST", "/otp/verify", {"challenge_id": challenge, "code": code, "binding": "another"})
    if place % 5 == 0:
        answers.call("DELETE", f"/otp/{challenge}")
    won = answers.call("POST", "/otp/verify", {"challenge_id": challenge, "code": code})
    if won.ok:
        token = won.json()["token"]
        answers.texts.pop()
        answers.call("POST", "/otp/token/redeem", {"token": token}, key="secret_key")
        answers.texts.pop()  # holds the number: this answer is what the proof is for
        answers.call("POST", "/otp/token/redeem", {"token": token}, key="secret_key")
        answers.call("POST", "/otp/token/redeem", {"token": token[:-4] + "AAAA"}, key="secret_key")
        answers.call("POST", "/otp/token/redeem", {"token": token})


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
                timeout=5,
            )
            answers.texts.append(sent.text)


def _every_channel(demo: Demo, answers: Answers) -> None:
    """Bring codes over all channels and type them back."""
    for channel, number in zip(("sms", "whatsapp", "voice", "rcs"), crowd(), strict=False):
        for to in (number, f"{number[:-1]}9"):
            answers.call("POST", "/otp/send", {"to": to, "channel": channel})
            demo.code(to)


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
    for path in ("policy", "policy/1", "policy/history", "policy/diff/1/2", "figures", "upstreams"):
        answers.call("GET", f"/ops/{path}", key="ops_key")
        answers.call("GET", f"/ops/{path}", key="secret_key")


@pytest.fixture(scope="module")
def canaries(exercised: tuple[Demo, Answers]) -> list[str]:
    """All codes, numbers and keys that were in play."""
    demo, _ = exercised
    messages = demo.inbox()
    assert len(messages) > SENDS / 2
    numbers = {message["to"] for message in messages} | {next(crowd())}
    keys = [value for name, value in demo.keys.items() if name.endswith(("_key", "_token", "_secret"))]
    rings = ("OTP_PEPPERS", "OTP_NUMBER_KEYS", "OTP_LOOKUP_KEYS", "OTP_SUBJECT_KEY", "OTP_SIGNING_KEYS")
    keys += [demo.settings[name].rpartition(":")[2] for name in rings]
    plain = {number.removeprefix("+") for number in numbers}
    return [*{message["code"] for message in messages}, *numbers, *plain, *keys]


def test_nothing_in_the_log(exercised: tuple[Demo, Answers], canaries: list[str]) -> None:
    """The one log of all processes; the welcome shows the publishable key once, on purpose."""
    demo, _ = exercised
    events = "\n".join(line for line in demo.log.read_text().splitlines() if line.startswith("{"))
    assert events.count("challenge.opened") >= SENDS
    assert found(canaries, events) == set()


def test_nothing_in_answers_and_metrics(exercised: tuple[Demo, Answers], canaries: list[str]) -> None:
    """What the API says, in bodies and headers, and what it counts."""
    demo, answers = exercised
    assert found(canaries, "\n".join(answers.texts)) == set()
    assert found(canaries, demo.call("GET", "/metrics").text) == set()
    assert found(canaries, demo.call("GET", "/ops/upstreams", key="ops_key").text) == set()


def test_nothing_in_the_files(exercised: tuple[Demo, Answers], canaries: list[str]) -> None:
    """Every file under var/ but demo.json, the store's append-only file among them."""
    demo, _ = exercised
    files = [path for path in demo.var.rglob("*") if path.is_file() and path.name != "demo.json"]
    assert any(path.suffix == ".aof" and path.stat().st_size > 100_000 for path in files)
    for path in files:
        assert found(canaries, path.read_bytes().decode("latin-1")) == set(), path


def test_nothing_in_the_store(exercised: tuple[Demo, Answers], canaries: list[str]) -> None:
    """Every key and value that is live, and each key has a time to live."""
    demo, _ = exercised
    with _store(demo) as client:
        names = list(client.scan_iter(count=1000))
        dump = "\n".join(f"{name} {_value(client, name)}" for name in names)
        lasting = {name for name in names if client.pttl(name) == -1}
    assert {name.partition(":")[2] for name in lasting} <= {"policy"}
    assert len(names) > SENDS
    assert "$argon2id$" in dump
    assert found(canaries, dump) == set()


def test_only_the_keys_file_holds_keys(exercised: tuple[Demo, Answers]) -> None:
    """The search would have found the keys where they are allowed to be."""
    demo, _ = exercised
    text = (demo.var / "demo.json").read_text()
    assert found([json.loads(text)["secret_key"]], text)


def _store(demo: Demo) -> Redis:
    environment = Path(f"/proc/{demo.children()['worker']}/environ").read_text().split("\0")
    url = next(line for line in environment if line.startswith("OTP_REDIS_URL=")).partition("=")[2]
    return Redis.from_url(url, decode_responses=True)


def _value(client: Redis, name: str) -> object:
    kind = client.type(name)
    if kind == "hash":
        return client.hgetall(name)
    return client.get(name) if kind == "string" else client.zrange(name, 0, -1, withscores=True)

"""Policy documents: the text as it is."""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from otp_service import phone
from otp_service.challenge.model import Plan
from otp_service.errors import ConfigurationError, NoRoute
from otp_service.guard import rules
from otp_service.policy import bounds, document, places
from otp_service.policy.model import Policy
from otp_service.typed import is_line

GUIDED = ("otp_service.policy", "otp_service.guard.rules", "otp_service.guard.lines", "tomllib._parser")
_EXAMPLE: Final = Path(__file__).parents[3] / "docs/policy.example.toml"
_SMALL: Final = """guard.countries.allow = ["US"]
[app.web]
brand = "Acme"
secret_keys = ["00000000000000000000000000000000000000000000000000000000000000aa"]
[upstream.main]
kind = "mobtexting"
base_url = "https://a.example/"
token_env = "OTP_UPSTREAM_MAIN_TOKEN"
sms = { service = "T", sender = "ACMEIN" }
voice = { bridge = "1" }
[[route]]
"""
_STEP: Final = '{ channel = "sms", upstream = "main", wait = "5s" }'
_VOICE: Final = '{ channel = "voice", upstream = { main = 1 }, if = "mobile" }'
SEEDS = tuple(
    text.encode()
    for text in (
        f"{_SMALL}steps = [{_STEP}]",
        (
            f'{_SMALL}match = {{ country = ["US"], prefix = ["+1202"] }}\nsteps = [{_STEP}, {_VOICE}]\n'
            f'split = {{ share = 0.5, order = ["voice", "sms"] }}'
        ),
        (
            f'{_SMALL}name = "a"\nmatch = {{ type = ["mobile"], app = ["web"], purpose = ["p"] }}\nsteps = [{_VOICE}]'
            f"\n[[route]]\nsteps = [{_STEP}]"
        ),
        (
            f'{_SMALL}steps = [{_STEP}]\n[guard]\nnumber = {{ refuse = ["1/m"], hold = "1h" }}\n'
            f'[challenge]\nttl = "10s"\ncooldown = ["1s"]'
        ),
        f'{_SMALL}steps = [{_STEP}]\n[template.sms]\nen = "Code {{code}} for {{brand}}"\n[template]\nhosts = ["a.b"]',
        f'{_SMALL}steps = [{_STEP}]\n[app.web.review]\n"+12025550100" = {{ code = "000000", until = "2099-01-01" }}',
        f'{_SMALL}steps = [{_STEP}]\n[app."we\\nb".guard]\ncountries.allow = ["*"]\n[operator.o]\nkeys = []',
        '[app.web]\nbrand = """\nA\r\nB"""\n"a.b".\'c\' = 1979-05-27T07:32:00Z # c\nx = [\n1, # d\n2,]',
        "a = [[[[[[[[[1]]]]]]]]]",
        *[part for part in _EXAMPLE.read_text().split("\n\n") if len(part) < 2000],
    )
)
WORDS = (
    *sorted(set(re.findall(r"[a-z_]{3,20}(?= = )", _EXAMPLE.read_text()))),
    *(
        '"""',
        "'''",
        "[[route]]",
        "[app.",
        "\\u0000",
        "\\n",
        '"5m"',
        '"3/10m"',
        "nan",
        "inf",
        "-1",
        "1e400",
        "0x1",
    ),
    *(
        "steps",
        '{ mode = "off" }',
        '["*"]',
        "1979-05-27",
        "\r\n",
        "allow",
        "refuse",
        '"+1202"',
        "99999999999999999999",
    ),
)
NUMBERS: Final = (
    phone.Number("+12025550100", "US", "fixed_line_or_mobile"),
    phone.Number("+447700900123", "GB", "mobile"),
    phone.Number("+8816555", "", "unknown"),
)
Outcome = Policy | list[str]


def check(raw: bytes) -> None:
    """Read a document: problems that a person can find, or a policy by which each number has a whole plan."""
    text = raw.decode("utf-8", "ignore")
    found = _read(text)
    assert _read(text) == found
    if "\r" not in text:
        assert _read(text.replace("\n", "\r\n")) == found, "the ends of lines make a difference"
    if isinstance(found, Policy):
        _check_sentences(found.warnings, text)
        for app in found.apps:
            for number in NUMBERS:
                _check_plan(found, app, number)
    else:
        assert found
        _check_sentences(found, text)
    _check_places(text)


def _read(text: str) -> Outcome:
    try:
        return document.parse(text)
    except ConfigurationError as error:
        return error.problems


def _check_sentences(said: tuple[str, ...] | list[str], text: str) -> None:
    """Each is one line of text, and the line that it names exists."""
    assert len(said) <= 51
    for one in said:
        assert is_line(one), "a line break or a control character"
        assert len(one) <= 1000, "longer than anybody reads"
        for line in re.findall(r"\(line ([0-9]+)\)$", one):
            assert 1 <= int(line) <= text.count("\n") + 1


def _check_plan(policy: Policy, app: str, number: phone.Number) -> None:
    try:
        plan = policy.plan(number, app, "login", None, dice=lambda: 0.5, learned=lambda *_: None)
    except NoRoute:
        return
    assert isinstance(plan, Plan)
    assert plan.steps
    for step in plan.steps:
        assert step.upstreams
        assert step.wait > 0
        assert all(policy.upstreams[name].has(step.channel) for name in step.upstreams)
    asked = rules.GuardedSend(number=number, app=app, purpose="login", address="192.0.2.1", session="s")
    json.dumps([line._asdict() for line in rules.lines_of_send(policy.guard_of(app), asked)], default=dict)


def _check_places(text: str) -> None:
    """Each value of a document that can be read has a line, and a place in the text where it is written."""
    if bounds.text_problem(text) or "\r" in text:
        return
    try:
        values = dict(_named("", tomllib.loads(text)))
    except ValueError:
        return
    lines = places.lines_of(text)
    missing = values.keys() - lines.keys()
    assert not missing, f"no line for {missing}"
    for place, (start, end) in places.spans_of(text).items():
        assert tomllib.loads(f"x = {text[start:end]}")["x"] == values[place] or values[place] != values[place]


def _named(place: str, value: Mapping[str, Any] | list[Any]) -> Iterator[tuple[str, Any]]:
    pairs = value.items() if isinstance(value, Mapping) else enumerate(value)
    for key, inner in pairs:
        here = f"{place}[{key}]" if isinstance(key, int) else places.join(place, key)
        yield here, inner
        if isinstance(inner, Mapping | list):
            yield from _named(here, inner)

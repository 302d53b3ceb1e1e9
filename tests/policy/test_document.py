"""The policy's document: what it says, and what it refuses with its place, rule and line."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otp_service import phone, policy
from otp_service.access.api_keys import digest
from otp_service.errors import ConfigurationError
from otp_service.policy import (
    CHANNELS,
    ChallengeRules,
    Endpoint,
    Events,
    Guard,
    Match,
    Operator,
    ReceiptSettings,
    Route,
    StepRule,
    Upstream,
    Window,
)
from otp_service.policy.guard_forms import FORMS, GUARD
from otp_service.policy.limits import (
    RULES,
    Budget,
    Consecutive,
    ConversionRule,
    Cooldown,
    Countries,
    DeviceStanding,
    Guessing,
    HumanRules,
    Listed,
    Money,
    Types,
)
from otp_service.upstream.channels import (
    MipSettings,
    RcsSettings,
    SmsSettings,
    VoiceSettings,
    WhatsappSettings,
)

HASH, OTHER_HASH, OPS_HASH = (digest(name) for name in ("pk_a", "sk_a", "ops_a"))
APP = f"""guard.countries.allow = ["*"]
[app.web]
brand = "Acme"
origins = ["https://app.example.com"]
publishable_keys = ["{HASH}"]
secret_keys = ["{OTHER_HASH}"]
"""
UPSTREAM = """
[upstream.main]
kind = "mobtexting"
base_url = "https://portal.example/api/v2/"
token_env = "OTP_UPSTREAM_MAIN_TOKEN"
sms = { service = "T", sender = "ACMEIN" }
"""
ROUTE = """
[[route]]
steps = [{ channel = "sms", upstream = "main", wait = "30s" }]
"""
GOOD = APP + UPSTREAM + ROUTE


def refused(text: str) -> list[str]:
    """Return the problems of a document, as place and rule."""
    return [re.sub(r" \(line \d+\)\Z", "", problem) for problem in refused_with_lines(text)]


def refused_with_lines(text: str) -> list[str]:
    """Return the problems of a document."""
    with pytest.raises(ConfigurationError) as caught:
        policy.parse(text)
    assert all(re.search(r" \(line \d+\)\Z", problem) for problem in caught.value.problems)
    return caught.value.problems


# Reading.


def test_a_short_policy_is_enough_and_the_rest_has_defaults() -> None:
    """One app, one upstream, one route. Limits and challenges have the documented defaults."""
    read = policy.parse(GOOD)
    assert read.apps["web"].brand == "Acme"
    assert read.routes == (
        Route(
            steps=(StepRule(channel="sms", upstreams=("main",), wait=30, until="delivered", condition=""),),
            match=Match(),
        ),
    )
    assert read.challenge == ChallengeRules(
        code_length=6,
        ttl=300,
        max_attempts=5,
        max_sends=3,
        cooldown=(30, 60, 120),
        earlier_codes=3,
        after_choice="continue",
        auto_wait=(10, 60),
    )
    assert (read.upstreams["main"].gets_per_minute, read.upstreams["main"].pull) == (1000, True)
    assert read.upstreams["main"].sms == SmsSettings(service="T", sender="ACMEIN", batch=20)
    assert read.guard == Guard(countries=Countries(allow=("*",)))
    assert read.operators == {}
    assert [each.split(": ")[0] for each in read.warnings] == ["upstream.main.sms"]


def test_every_field_of_a_policy_is_read() -> None:
    """Each table and field is in the policy, as tuples and seconds."""
    read = policy.parse(
        f"""{APP.partition(chr(10))[2]}
[app.web.guard]
countries = {{ allow = ["US", "IN"] }}
cheap_channels = ["mip"]
[app.web.guard.address]
refuse = []

[app.web.events]
url = "https://app.example.com:8443/otp?x=1"
secret_env = "OTP_EVENTS_WEB"
types = ["challenge.verified", "challenge.failed"]

[operator.anna]
keys = ["{OPS_HASH}"]

[alerts]
url = "https://pager.example.com"
secret_env = "OTP_EVENTS_OPS"

[challenge]
code_length = 8
ttl = "10m"
max_attempts = 3
max_sends = 10
cooldown = ["1s", "2m"]
earlier_codes = 0
after_choice = "stop"
auto_wait = ["5s", "70s"]

[guard]
countries = {{ allow = ["*"] }}
cheap_channels = ["rcs", "voice"]
suppression = {{ mode = "watch" }}
number_types = {{ refuse = ["pager"], mode = "off" }}

[guard.number]
refuse = ["10/m", "100/1d"]
trickle = []

[guard.unproven]
refuse = ["7/h"]
trickle = ["2/30m"]
ratio = 0.5

[guard.app]
reserved = 0.5

[guard.consecutive]
most = 50
step = "10s"
longest = "30m"

[guard.standing]
unverified = 5

[guard.address]
mode = "watch"
human_check = ["1/s", "2/10s"]
cheap = ["3/m"]
hold = "2h"

[guard.cooldown]
ladder = ["1s", "2m"]
forget = "1h"

[guard.money]
refuse = ["7/h"]
prices = {{ sms = 2, voice = 0.5 }}
country_prices = {{ IN = {{ sms = 0.125 }} }}

[guard.guessing]
human_check = ["9/h"]
code_length = 10

[guard.conversion]
share = 0.5
sends = 10
within = "30m"
grace = "0s"
hold = "1h"
longest = "2h"
country = "refuse"
prefix = "human_check"

[guard.recycled]
then = "cheap"
purposes = ["login", "payment"]

[guard.human_check]
kind = "siteverify"
url = "https://captcha.example/siteverify"
site_key = "10000000-ffff"

[template.sms]
en = "{{code}} for {{brand}}"
[template.voice]
pt-BR = "{{code}} {{code}}"

[upstream.main]
kind = "mobtexting"
base_url = "http://127.0.0.1:8001/api/v2"
token_env = "OTP_UPSTREAM_MAIN_TOKEN"
auth = "query"
paths = {{ sms = "sms/message/send" }}
balance_paths = ["finance/balance"]
connect_timeout = 1
total_timeout = 2.5
gets_per_minute = 30
pull = false
low_balance = 12.5
whatsapp = {{ sender = "W", template = "otp", default_language = "en_GB", languages = {{ en = "en_GB" }} }}
rcs = {{ sender = "R" }}
mip = {{ sender = "M", template = "T", namespace = "N" }}
[upstream.main.voice]
bridge = "B"
mode = "flow"
flow_id = "F"
languages = {{ en = "en-IN" }}
voice_id = "Joanna"
webhook_id = "4"
[upstream.main.sms]
service = "X"
sender = "S"
entity_id = "1"
template_id = "2"
webhook_id = "3"
expiry_field = "validity"
batch = 1
[upstream.main.receipts]
secrets = ["{digest("s")}"]
signature_ids = ["uuid"]
fields = {{ id = "messageid" }}

[[route]]
name = "first"
after_choice = "continue"
match = {{ country = ["IN", "US"], prefix = ["+91", "+1"], type = ["mobile"], app = ["web"], purpose = ["login"] }}
steps = [
  {{ channel = "sms", upstream = "main", wait = "299s", until = "sent" }},
  {{ channel = "whatsapp", upstream = ["main"], wait = "auto", until = "read", if = "open" }},
  {{ channel = "voice", upstream = {{ main = 3 }}, wait = "599s", if = "mobile" }},
]
[[route]]
steps = [{{ channel = "mip", upstream = "main" }}]
"""
    )
    app = read.apps["web"]
    assert app.events == Events(
        url="https://app.example.com:8443/otp?x=1",
        secret_env="OTP_EVENTS_WEB",
        types=("challenge.verified", "challenge.failed"),
    )
    assert read.alerts == Endpoint(url="https://pager.example.com", secret_env="OTP_EVENTS_OPS")
    assert read.operators == {"anna": Operator(name="anna", keys=(OPS_HASH,))}
    assert read.challenge == ChallengeRules(
        code_length=8,
        ttl=600,
        max_attempts=3,
        max_sends=10,
        cooldown=(1, 120),
        earlier_codes=0,
        after_choice="stop",
        auto_wait=(5, 70),
    )
    assert read.guard == Guard(
        countries=Countries(allow=("*",)),
        number_types=Types(refuse=("pager",), mode="off"),
        address=Budget(
            mode="watch",
            human_check=(Window(1, 1), Window(2, 10)),
            cheap=(Window(3, 60),),
            refuse=Guard().address.refuse,
            hold=7200,
        ),
        money=Money(
            refuse=(Window(7, 3600),),
            prices={"sms": 2.0, "voice": 0.5},
            country_prices={"IN": {"sms": 0.125}},
        ),
        guessing=Guessing(human_check=(Window(9, 3600),), code_length=10),
        conversion=ConversionRule(
            share=0.5,
            sends=10,
            within=1800,
            grace=0,
            hold=3600,
            longest=7200,
            country="refuse",
            prefix="human_check",
        ),
        suppression=Listed(mode="watch"),
        recycled=Listed(then="cheap", purposes=("login", "payment")),
        cooldown=Cooldown(ladder=(1, 120), forget=3600),
        number=Budget(refuse=(Window(10, 60), Window(100, 86400))),
        unproven=Budget(refuse=(Window(7, 3600),), trickle=(Window(2, 1800),), ratio=0.5),
        app=replace(Guard().app, reserved=0.5),
        consecutive=Consecutive(most=50, step=10, longest=1800),
        standing=DeviceStanding(unverified=5),
        human_check=HumanRules(
            kind="siteverify", url="https://captcha.example/siteverify", site_key="10000000-ffff"
        ),
        cheap_channels=("rcs", "voice"),
    )
    assert app.guard == replace(
        read.guard,
        countries=Countries(allow=("US", "IN")),
        address=replace(read.guard.address, refuse=()),
        cheap_channels=("mip",),
    )
    assert (read.guard_of("web"), read.guard_of("nobody")) == (app.guard, read.guard)
    assert read.templates == {"sms": {"en": "{code} for {brand}"}, "voice": {"pt-BR": "{code} {code}"}}
    assert read.upstreams["main"] == Upstream(
        name="main",
        kind="mobtexting",
        base_url="http://127.0.0.1:8001/api/v2",
        token_env="OTP_UPSTREAM_MAIN_TOKEN",
        auth="query",
        paths={"sms": "sms/message/send"},
        balance_paths=("finance/balance",),
        connect_timeout=1.0,
        total_timeout=2.5,
        gets_per_minute=30,
        pull=False,
        low_balance=12.5,
        sms=SmsSettings(
            service="X",
            sender="S",
            entity_id="1",
            template_id="2",
            webhook_id="3",
            expiry_field="validity",
            batch=1,
        ),
        whatsapp=WhatsappSettings(
            sender="W", template="otp", default_language="en_GB", languages={"en": "en_GB"}
        ),
        voice=VoiceSettings(
            bridge="B", mode="flow", flow_id="F", languages={"en": "en-IN"}, voice_id="Joanna", webhook_id="4"
        ),
        rcs=RcsSettings(sender="R"),
        mip=MipSettings(sender="M", template="T", namespace="N"),
        receipts=ReceiptSettings(secrets=(digest("s"),), signature_ids=("uuid",), fields={"id": "messageid"}),
    )
    assert read.routes[0] == Route(
        name="first",
        after_choice="continue",
        match=Match(
            countries=("IN", "US"),
            prefixes=("+91", "+1"),
            types=("mobile",),
            apps=("web",),
            purposes=("login",),
        ),
        steps=(
            StepRule(channel="sms", upstreams=("main",), wait=299, until="sent"),
            StepRule(channel="whatsapp", upstreams=("main",), wait=None, until="read", condition="open"),
            StepRule(channel="voice", upstreams=("main",), weights=(3,), wait=599, condition="mobile"),
        ),
    )
    assert all("2 parts" in each or "several texts" in each for each in read.warnings)


def test_the_example_and_its_comments_are_valid() -> None:
    """Operators can copy it. It causes warnings about its hashes and ids, and no comment shows a wrong field."""
    text = (Path(__file__).parents[2] / "docs" / "policy.example.toml").read_text(encoding="utf-8")
    read = policy.parse(text)
    assert {warning.split(": ")[1] for warning in read.warnings} == {
        "India delivers no SMS without entity_id and template_id or template_ids (DLT) (line 122)",
        "is the hash of the example, which no key has (line 7)",
        "is the hash of the example, which no key has (line 8)",
        "is the hash of the example, which no key has (line 27)",
    }
    assert read.guard == Guard(countries=Countries(allow=("IN",)))
    lines = [re.sub(r"\A# (?=[a-z_]+ = |\[)", "", line) for line in text.splitlines()]
    second_voice = next(at for at, line in enumerate(lines) if "flow_id" in line)
    del lines[second_voice]
    full = policy.parse("\n".join(lines))
    guard = tomllib.loads("\n".join(lines))["guard"]
    assert {table: set(guard[table]) for table in FORMS} == {
        table: set(form.fields) for table, form in FORMS.items()
    }
    assert set(guard) == set(GUARD.fields)
    main = full.upstreams["main"]
    assert [channel for channel in CHANNELS if main.has(channel)] == list(CHANNELS)
    assert main.receipts
    assert full.apps["web"].events
    assert full.apps["web"].guard
    assert full.routes[0].after_choice == "stop"
    assert set(full.templates) == {"sms", "voice", "payment"}


def test_comments_are_allowed_anywhere() -> None:
    """The document is plain TOML."""
    assert policy.parse("# first\n" + GOOD + "\n# last").upstreams["main"].kind == "mobtexting"


# Refusing: the place and the rule.

BOUNDS_RULE = 'must be two times with the lower first, such as ["10s", "60s"]'
URL_RULE = "must be an https:// URL (http:// for localhost only)"
NEVER_CALLED = {
    "169.254.169.254/": "not be a private or reserved address",
    "x.example:99999/": "be a URL such as https://app.example.com/events, without user, fragment or spaces",
    "x.example/a#b": "be a URL such as https://app.example.com/events, without user, fragment or spaces",
    "0x7f.1/": "have an address in its usual form, or a name",
    "x..example/": "have a host name of letters, digits, hyphens and dots",
}
"""Addresses to which nothing is ever sent, with their rules."""
ACCOUNT_RULE = 'must be "main", ["main", "spare"] or { main = 3, spare = 1 }'
WEIGHT_RULE = "must be a weight: a whole number, 1 or more"
CLEAR_RULE = "must be https, because a secret is sent to it (http is allowed for localhost only)"
CHANNEL_RULE = "must be one of sms, whatsapp, voice, rcs, mip"
KEY_RULE = "must be the SHA-256 of a key in hex, as otp-service keys draw prints it"
LIMIT_RULE = 'must be a limit such as "3/10m" or "5/h"'
WITH: Mapping[str, list[tuple[str, str]]] = {
    "[challenge]": [
        ("code_length = 5", "challenge.code_length: must be from 6 to 10"),
        ("code_length = 11", "challenge.code_length: must be from 6 to 10"),
        ("code_length = 6.5", "challenge.code_length: not a valid integer"),
        ('ttl = "59s"', "challenge.ttl: must be from 60 to 600 seconds"),
        ('ttl = "11m"', "challenge.ttl: must be from 60 to 600 seconds"),
        ("ttl = 300", 'challenge.ttl: must be a time such as "30s", "5m" or "24h"'),
        ('ttl = "5 m"', 'challenge.ttl: must be a time such as "30s", "5m" or "24h"'),
        ('ttl = "-5m"', 'challenge.ttl: must be a time such as "30s", "5m" or "24h"'),
        ("max_attempts = 0", "challenge.max_attempts: must be from 1 to 5"),
        ("max_attempts = 6", "challenge.max_attempts: must be from 1 to 5"),
        ("max_sends = 0", "challenge.max_sends: must be from 1 to 10"),
        ("max_sends = 11", "challenge.max_sends: must be from 1 to 10"),
        ("cooldown = []", "challenge.cooldown: must not be empty"),
        ('cooldown = ["30s", "0s"]', "challenge.cooldown[1]: must be from 1 to 600 seconds"),
        ('cooldown = "30s"', "challenge.cooldown: not a valid list"),
        ('earlier = "keep"', "challenge.earlier: unknown field"),
        ("earlier_codes = 4", "challenge.earlier_codes: must be from 0 to 3"),
        ("earlier_codes = -1", "challenge.earlier_codes: must be from 0 to 3"),
        ('after_choice = "wait"', "challenge.after_choice: must be one of continue, stop"),
        ('auto_wait = ["60s", "10s"]', f"challenge.auto_wait: {BOUNDS_RULE}"),
        ('auto_wait = ["10s"]', f"challenge.auto_wait: {BOUNDS_RULE}"),
        ('auto_wait = ["4s", "10s"]', "challenge.auto_wait[0]: must be from 5 to 600 seconds"),
    ],
    **{
        f"[guard.{rule}]": [
            ('mode = "on"', f"guard.{rule}.mode: must be one of enforce, watch, off"),
            ("limit = 1", f"guard.{rule}.limit: unknown field"),
        ]
        for rule in RULES
        if rule != "countries"
    },
    "[app.web.guard.countries]": [
        ("allow = []", "app.web.guard.countries.allow: must not be empty"),
        ('allow = ["*", "XX"]', "app.web.guard.countries.allow[1]: country XX has no phone numbers"),
        ('allow = ["gb"]', "app.web.guard.countries.allow[0]: must be two capital letters"),
        ('mode = ""', "app.web.guard.countries.mode: must be one of enforce, watch, off"),
    ],
    "[app.web.guard]": [
        ("number = 1", "app.web.guard.number: must be a table"),
        ("colour = 1", "app.web.guard.colour: unknown field"),
    ],
    "[app.web.guard.address]": [('refuse = ["1"]', f"app.web.guard.address.refuse[0]: {LIMIT_RULE}")],
    "[[app.web.guard]]": [("", "app.web.guard: must be a table")],
    "[[guard.prefix]]": [("", "guard.prefix: must be a table")],
    "[guard.number_types]  # what": [
        (
            'refuse = ["pager", "cell"]',
            f"guard.number_types.refuse[1]: must be one of {', '.join(sorted(phone.TYPES))}",
        ),
    ],
    "[guard.number]  # limits": [
        ('refuse = "3/10m"', "guard.number.refuse: not a valid list"),
        ('refuse = ["3"]', f"guard.number.refuse[0]: {LIMIT_RULE}"),
        ('refuse = ["0/m"]', f"guard.number.refuse[0]: {LIMIT_RULE}"),
        ('refuse = ["1/m", "3/10y"]', f"guard.number.refuse[1]: {LIMIT_RULE}"),
        ("refuse = [3]", f"guard.number.refuse[0]: {LIMIT_RULE}"),
        ('human_check = ["-1/m"]', f"guard.number.human_check[0]: {LIMIT_RULE}"),
        ('cheap = ["1/"]', f"guard.number.cheap[0]: {LIMIT_RULE}"),
        ('refuse = ["1/2d"]', "guard.number.refuse[0]: must not be longer than a day"),
        ('hold = "2d"', "guard.number.hold: must be from 0 to 86400 seconds"),
        ("hold = 5", 'guard.number.hold: must be a time such as "30s", "5m" or "24h"'),
    ],
    "[guard.number]  # shares": [
        ('trickle = ["1/h", "2/h"]', "guard.number.trickle: must have at most one limit"),
        ("reserved = 0.2", "guard.number.reserved: unknown field"),
    ],
    "[guard.app]  # shares": [
        ("reserved = 0.91", "guard.app.reserved: must be from 0 to 0.9"),
        ('trickle = ["1/h"]', "guard.app.trickle: unknown field"),
    ],
    "[guard.unproven]  # ratio": [("ratio = 101", "guard.unproven.ratio: must be from 0 to 100")],
    "[guard.consecutive]  # codes": [
        ("most = 101", "guard.consecutive.most: must be from 10 to 100"),
        ("most = 9", "guard.consecutive.most: must be from 10 to 100"),
        ('step = "61m"', "guard.consecutive.step: must be from 0 to 3600 seconds"),
        ('longest = "61m"', "guard.consecutive.longest: must be from 0 to 3600 seconds"),
    ],
    "[guard.standing]  # sends": [
        ("unverified = 0", "guard.standing.unverified: must be from 1 to 100"),
    ],
    "[guard.cooldown]  # seconds": [
        ("ladder = []", "guard.cooldown.ladder: must not be empty"),
        ('ladder = ["30s", "0s"]', "guard.cooldown.ladder[1]: must be from 1 to 3600 seconds"),
        ('forget = "0s"', "guard.cooldown.forget: must be from 1 to 86400 seconds"),
    ],
    "[guard.money]  # amounts": [
        ("prices = { sms = -1 }", "guard.money.prices.sms: must be from 0 to 1000"),
        ("prices = { sms = 1001 }", "guard.money.prices.sms: must be from 0 to 1000"),
        ("prices = { pigeon = 1 }", f"guard.money.prices.pigeon: {CHANNEL_RULE}"),
        ("prices = [1]", "guard.money.prices: must be a table"),
        (
            "country_prices = { US = { voice = -1 } }",
            "guard.money.country_prices.US.voice: must be from 0 to 1000",
        ),
        ("country_prices = { US = 1 }", "guard.money.country_prices.US: must be a table"),
        (
            "country_prices = { XX = {} }",
            "guard.money.country_prices.XX: country XX has no phone numbers",
        ),
    ],
    "[guard.guessing]  # digits": [
        ("code_length = 5", "guard.guessing.code_length: must be from 6 to 10"),
        ("code_length = 11", "guard.guessing.code_length: must be from 6 to 10"),
        ("code_length = 8.5", "guard.guessing.code_length: not a valid integer"),
    ],
    "[guard.conversion]  # shares": [
        ("share = 0", "guard.conversion.share: must be from 0.01 to 0.99"),
        ("share = 1.0", "guard.conversion.share: must be from 0.01 to 0.99"),
        ("sends = 0", "guard.conversion.sends: must be from 1 to 1000000"),
        ('within = "59s"', "guard.conversion.within: must be from 60 to 86400 seconds"),
        ('grace = "11m"', "guard.conversion.grace: must be from 0 to 600 seconds"),
        ('hold = "0s"', "guard.conversion.hold: must be from 1 to 86400 seconds"),
        ('country = "stop"', "guard.conversion.country: must be one of human_check, cheap, refuse"),
    ],
    "[guard.suppression]  # nothing else": [('then = "refuse"', "guard.suppression.then: unknown field")],
    "[guard.recycled]  # purposes": [
        ('then = "allow"', "guard.recycled.then: must be one of human_check, cheap, refuse"),
        ('purposes = "login"', "guard.recycled.purposes: not a valid list"),
        ("purposes = [1]", "guard.recycled.purposes[0]: not a valid string"),
    ],
    "[guard.human_check]": [
        ('mode = "off"', "guard.human_check.mode: unknown field"),
        ('kind = "captcha"', "guard.human_check.kind: must be one of altcha, siteverify"),
        ('url = "captcha.example"', "guard.human_check.url: not a valid URL"),
        (
            'url = "http://captcha.example/"',
            "guard.human_check.url: must be https, because a secret is sent to it (http is allowed for localhost only)",
        ),
        (
            'url = "https://captcha.example/?secret=x"',
            "guard.human_check.url: must not contain a user, password, query or fragment",
        ),
        (
            'site_key = "two\\nlines"',
            "guard.human_check.site_key: must be 1 to 40 visible characters on one line",
        ),
    ],
    "[operator.anna]": [
        ('keys = ["ops_clear"]', f"operator.anna.keys[0]: {KEY_RULE}"),
        (f'keys = ["{OPS_HASH}", "{OPS_HASH.upper()}"]', f"operator.anna.keys[1]: {KEY_RULE}"),
        ("keys = []", "operator.anna.keys: must not be empty"),
    ],
    "[operator.value]": [(f'key = 1\nkeys = ["{OPS_HASH}"]', "operator.value.key: unknown field")],
    "[template.sms]": [
        ('en = "hello"', "template.sms.en: must contain {code} once"),
        ('en = "{code} {name}"', "template.sms.en: unknown variable {name}"),
        ("en = 1", "template.sms.en: not a valid string"),
        ('English = "{code}"', "template.sms.English: must be a language tag such as en or pt-BR"),
        ('key = "x"', "template.sms.key: must contain {code} once"),
    ],
    "[template.voice]": [
        ('en = "hello"', "template.voice.en: must contain {code} once or twice"),
        ('en = "{code} {code} {code}"', "template.voice.en: must contain {code} once or twice"),
    ],
    "[template.rcs]": [('en = "{code} {code}"', "template.rcs.en: must contain {code} once")],
    "[template.mip]": [('en = "{code:d}"', "template.mip.en: variables take no format: write {code}")],
    "[template.whatsapp]": [('en = "{code}"', "template.whatsapp: unknown field")],
    "[[template.sms]]": [('en = "{code}"', "template.sms: must be a table")],
    "[app.web.events]": [
        ('url = "http://x.example"\nsecret_env = "OTP_EVENTS_A"', f"app.web.events.url: {URL_RULE}"),
        ('url = "https://u@x.example"\nsecret_env = "OTP_EVENTS_A"', f"app.web.events.url: {URL_RULE}"),
        *(
            (f'url = "https://{address}"\nsecret_env = "OTP_EVENTS_A"', f"app.web.events.url: must {rule}")
            for address, rule in NEVER_CALLED.items()
        ),
        (
            'url = "http://localhost:1/x"\nsecret_env = "WEB_SECRET"',
            "app.web.events.secret_env: must start with OTP_EVENTS_",
        ),
        ('secret_env = "OTP_EVENTS_A"', "app.web.events.url: missing data for required field"),
        (
            'url = "http://127.0.0.1"\nsecret_env = "OTP_EVENTS_A"\ntypes = ["verified"]',
            f"app.web.events.types[0]: must be one of {', '.join(policy.EVENTS)}",
        ),
    ],
    "[alerts]": [
        ('url = "http://x.example"\nsecret_env = "OTP_EVENTS_A"', f"alerts.url: {URL_RULE}"),
        ('url = "https://x.example"\nsecret_env = "OPS"', "alerts.secret_env: must start with OTP_EVENTS_"),
        ('url = "https://x.example"', "alerts.secret_env: missing data for required field"),
        (
            'url = "https://x.example"\nsecret_env = "OTP_EVENTS_A"\ntypes = []',
            "alerts.types: unknown field",
        ),
    ],
    "[upstream.main.receipts]": [
        ("", "upstream.main.receipts.secrets: missing data for required field"),
        (
            'secrets = ["clear"]',
            "upstream.main.receipts.secrets[0]: must be the SHA-256 of a webhook's secret in hex",
        ),
        (
            f'secrets = ["{OPS_HASH}"]\nfields = {{ to = "x" }}',
            "upstream.main.receipts.fields.to: must be id, status or reference",
        ),
        (
            f'secrets = ["{OPS_HASH}"]\nfields = {{ id = "a b" }}',
            "upstream.main.receipts.fields.id: must be the name of a field",
        ),
        (
            f'secrets = ["{OPS_HASH}"]\nfields = "id"',
            "upstream.main.receipts.fields: must be a table",
        ),
    ],
    "[upstream.main.whatsapp]": [
        ('sender = "1"', "upstream.main.whatsapp.template: missing data for required field"),
        (
            'sender = "1"\ntemplate = "x"\nlanguages = { en = "English" }',
            "upstream.main.whatsapp.languages.en: must be a template's language such as en or pt_BR",
        ),
    ],
    "[upstream.main.voice]": [
        (
            'bridge = "1"\nmode = "flow"',
            'upstream.main.voice.flow_id: mode = "flow" needs the id of the flow',
        ),
        ('bridge = "1"\nmode = "talk"', "upstream.main.voice.mode: must be one of tts, flow"),
        (
            'bridge = "1"\nlanguages = { English = "x" }',
            "upstream.main.voice.languages.English: must be a language tag such as en or pt-BR",
        ),
    ],
    "[upstream.main.rcs]": [("", "upstream.main.rcs.sender: missing data for required field")],
    "[upstream.main.mip]": [("", "upstream.main.mip.sender: missing data for required field")],
    "[[upstream.main.mip]]": [("", "upstream.main.mip: must be a table")],
    "[[challenge]]": [("", "challenge: must be a table")],
    "[ops]": [(f'keys = ["{OPS_HASH}"]', "ops: unknown field")],
    "[unknown]": [("x = 1", "unknown: unknown field")],
}


@pytest.mark.parametrize(
    ("table", "line", "problem"),
    [(table, line, problem) for table, cases in WITH.items() for line, problem in cases],
)
def test_a_wrong_value_is_refused_with_its_place_and_rule(table: str, line: str, problem: str) -> None:
    """The place is written as in TOML. Nothing of the document takes effect."""
    assert refused(f"{GOOD}\n{table}\n{line}\n") == [f"policy: {problem}"]


ORIGIN_RULE = "must be an origin as browsers send it, such as https://app.example.com, nothing after the host"
BAD_ORIGINS = [
    "",
    "https://",
    "app.example.com",
    "http://app.example.com",
    "https://app.example.com/",
    "https://app.example.com/login",
    "https://App.example.com",
    "https://*.example.com",
    "*",
    "null",
    "https://user@app.example.com",
    "https://app.example.com:port",
    "https://[::1",
    "https://app.example.com?x",
    "https://app.example.com#x",
    "https://app.example.com https://b.example.com",
    "https://app.example.com\\n",
    "ftp://app.example.com",
    "http://localhost.evil.example",
]


@pytest.mark.parametrize("origin", BAD_ORIGINS)
def test_an_origin_that_no_browser_sends_is_refused(origin: str) -> None:
    """Origins are compared as a whole, so its own page could not call."""
    text = GOOD.replace("https://app.example.com", origin)
    assert refused(text) == [f"policy: app.web.origins[0]: {ORIGIN_RULE}"]


@pytest.mark.parametrize(
    "origin",
    [
        "https://a",
        "https://a.b-c.example:8443",
        "http://localhost:3000",
        "http://127.0.0.1",
        "https://10.0.0.1",
        "capacitor://localhost",
        "ionic://localhost",
        "tauri://localhost",
        "https://localhost",
        "http://tauri.localhost",
    ],
)
def test_valid_origins_are_accepted(origin: str) -> None:
    """With or without a port; plain HTTP on the developer's own machine only."""
    read = policy.parse(GOOD.replace("https://app.example.com", origin))
    assert read.apps["web"].origins == (origin,)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('brand = "Acme"', "", "app.web.brand: missing data for required field"),
        ('brand = "Acme"', 'brand = ""', "app.web.brand: must be 1 to 40 visible characters on one line"),
        (
            'brand = "Acme"',
            f'brand = "{"b" * 41}"',
            "app.web.brand: must be 1 to 40 visible characters on one line",
        ),
        (
            'brand = "Acme"',
            'brand = "A\\nB"',
            "app.web.brand: must be 1 to 40 visible characters on one line",
        ),
        ('brand = "Acme"', "brand = 1", "app.web.brand: not a valid string"),
        (HASH, "pk_in_clear", f"app.web.publishable_keys[0]: {KEY_RULE}"),
        (OTHER_HASH, OTHER_HASH[:-1], f"app.web.secret_keys[0]: {KEY_RULE}"),
        ('allow = ["*"]', "allow = []", "guard.countries.allow: must not be empty"),
        ('allow = ["*"]', 'allow = ["XX"]', "guard.countries.allow[0]: country XX has no phone numbers"),
        ("[app.web]", "guard.number = 1\n[app.web]", "guard.number: must be a table"),
        ("[app.web]", "guard.numbers = {}\n[app.web]", "guard.numbers: unknown field"),
        ("[app.web]", "guard.human_check = []\n[app.web]", "guard.human_check: must be a table"),
        (
            "[app.web]",
            'guard.cheap_channels = ["sms", "sm"]\n[app.web]',
            f"guard.cheap_channels[1]: {CHANNEL_RULE}",
        ),
        ('guard.countries.allow = ["*"]', "guard = 1", "guard: must be a table"),
        ('brand = "Acme"', 'brand = "Acme"\nguard = []', "app.web.guard: must be a table"),
        ('brand = "Acme"', 'brand = "Acme"\ncolour = "red"', "app.web.colour: unknown field"),
        ('kind = "mobtexting"', 'kind = "twilio"', "upstream.main.kind: must be mobtexting"),
        ('kind = "mobtexting"', "", "upstream.main.kind: missing data for required field"),
        ("https://portal.example/api/v2/", "portal.example", "upstream.main.base_url: not a valid URL"),
        ("https://portal.example/api/v2/", "ftp://portal.example", "upstream.main.base_url: not a valid URL"),
        ("OTP_UPSTREAM_MAIN_TOKEN", "MAIN_TOKEN", "upstream.main.token_env: must start with OTP_UPSTREAM_"),
        (
            "OTP_UPSTREAM_MAIN_TOKEN",
            "OTP_UPSTREAM_main",
            "upstream.main.token_env: must start with OTP_UPSTREAM_",
        ),
        (', sender = "ACMEIN"', "", "upstream.main.sms.sender: missing data for required field"),
        ('service = "T",', "", "upstream.main.sms.service: missing data for required field"),
        ("sms = {", 'auth = "cookie"\nsms = {', "upstream.main.auth: must be header, query or body"),
        ("sms = {", "connect_timeout = 0\nsms = {", "upstream.main.connect_timeout: must be from 0.05 to 10"),
        ("sms = {", "total_timeout = 60\nsms = {", "upstream.main.total_timeout: must be from 0.1 to 6"),
        ("sms = {", "balance_paths = []\nsms = {", "upstream.main.balance_paths: must be 1 to 4 paths"),
        ('channel = "sms"', 'channel = "pigeon"', f"route[0].steps[0].channel: {CHANNEL_RULE}"),
        ('channel = "sms", ', "", "route[0].steps[0].channel: missing data for required field"),
        ('wait = "30s"', 'wait = "4s"', "route[0].steps[0].wait: must be from 5 to 600 seconds"),
        (
            "[[route]]",
            '[[route]]\nmatch = { country = ["in"] }',
            "route[0].match.country[0]: must be two capital letters",
        ),
        (
            "[[route]]",
            '[[route]]\nmatch = { country = ["XX"] }',
            "route[0].match.country[0]: country XX has no phone numbers",
        ),
        (
            "[[route]]",
            '[[route]]\nmatch = { prefix = ["44"] }',
            "route[0].match.prefix[0]: must be the beginning of an E.164 number such as +4479",
        ),
        (
            "[[route]]",
            '[[route]]\nmatch = { type = ["cell"] }',
            f"route[0].match.type[0]: must be one of {', '.join(sorted(phone.TYPES))}",
        ),
        ("[[route]]", "[[route]]\nmatch = 1", "route[0].match: must be a table"),
        (
            "[[route]]",
            '[[route]]\nafter_choice = "x"',
            "route[0].after_choice: must be one of continue, stop",
        ),
        ("[[route]]", "[[route]]\nname = 1", "route[0].name: not a valid string"),
        (
            'wait = "30s"',
            'until = "seen"',
            "route[0].steps[0].until: must be one of accepted, sent, delivered, read",
        ),
        ('wait = "30s"', 'if = "lucky"', "route[0].steps[0].if: must be one of mobile, open"),
        ('upstream = "main"', "upstream = 1", f"route[0].steps[0].upstream: {ACCOUNT_RULE}"),
        ('upstream = "main"', "upstream = [1]", f"route[0].steps[0].upstream: {ACCOUNT_RULE}"),
        ('upstream = "main"', "upstream = []", "route[0].steps[0].upstream: must name an account"),
        (
            'upstream = "main"',
            'upstream = ["main", "main"]',
            "route[0].steps[0].upstream[1]: names main twice",
        ),
        ('upstream = "main"', "upstream = { main = 0 }", f"route[0].steps[0].upstream.main: {WEIGHT_RULE}"),
        ('upstream = "main"', "upstream = { main = 1.5 }", f"route[0].steps[0].upstream.main: {WEIGHT_RULE}"),
        (
            'upstream = "main"',
            "upstream = { main = true }",
            f"route[0].steps[0].upstream.main: {WEIGHT_RULE}",
        ),
        (', upstream = "main"', "", "route[0].steps[0].upstream: missing data for required field"),
        ("https://portal", "http://portal", f"upstream.main.base_url: {CLEAR_RULE}"),
        ("https://portal.example", "http://10.0.0.1", f"upstream.main.base_url: {CLEAR_RULE}"),
        (
            "https://portal.example",
            "https://user:token@portal.example",
            "upstream.main.base_url: must not contain a user, password, query or fragment",
        ),
        (
            "sms = {",
            'paths = { sms = "/x" }\nsms = {',
            "upstream.main.paths.sms: must be a path below base_url",
        ),
        (
            "sms = {",
            "gets_per_minute = 0\nsms = {",
            "upstream.main.gets_per_minute: must be from 1 to 100000",
        ),
        ("sms = {", 'pull = "no"\nsms = {', "upstream.main.pull: not a valid boolean"),
        ("sms = {", "low_balance = -1\nsms = {", "upstream.main.low_balance: must not be negative"),
        ("sms = {", "sms = { batch = 101, ", "upstream.main.sms.batch: must be from 1 to 100"),
        (
            "sms = {",
            'sms = { expiry_field = "a b", ',
            "upstream.main.sms.expiry_field: must be the name of a field",
        ),
        ("[[route]]", '[[route]]\nmatch = { region = ["EU"] }', "route[0].match.region: unknown field"),
    ],
)
def test_a_policy_that_cannot_work_is_refused_at_the_wrong_place(old: str, new: str, problem: str) -> None:
    """Each rule of each table, by one change to a valid policy."""
    assert GOOD.count(old) >= 1
    assert refused(GOOD.replace(old, new)) == [f"policy: {problem}"]


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("", ["app", "upstream", "route"]),
        (APP, ["upstream", "route"]),
        (APP + UPSTREAM, ["route"]),
        (UPSTREAM + ROUTE, ["app"]),
        (f"{UPSTREAM}{ROUTE}[app]\n", ["app"]),
    ],
)
def test_the_three_tables_are_required(text: str, missing: list[str]) -> None:
    """Without one of them, or with an empty one, nothing could be sent."""
    headers = {"app": "[app.NAME]", "upstream": "[upstream.NAME]", "route": "[[route]]"}
    assert sorted(refused(text)) == sorted(
        f"policy: {table}: needs at least one {headers[table]}" for table in missing
    )


def test_a_route_without_steps_is_refused() -> None:
    """It would match numbers and send nothing."""
    assert refused(f"{APP}{UPSTREAM}[[route]]\nsteps = []") == ["policy: route[0].steps: must not be empty"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[app.web]\nbrand = Acme", "policy: is not valid TOML: Invalid value (line 2)"),
        ('a = 1\nb = """\n', "policy: is not valid TOML: Unterminated string (line 3)"),
        ("[app.web]\n\n[app.web]", "policy: is not valid TOML: Cannot declare ('app', 'web') twice (line 3)"),
        ("[a]\nx = 1\nx = 2", "policy: is not valid TOML: Cannot overwrite a value (line 3)"),
    ],
)
def test_broken_toml_is_refused_with_its_line(text: str, problem: str) -> None:
    """With the reader's own words. A repeated table or key is broken too."""
    assert refused_with_lines(text) == [problem]


def test_a_document_too_large_for_the_reader_is_refused() -> None:
    """Thousands of digits cause a problem, not a crash."""
    assert len(refused(f"a = {'9' * 10_000}")) == 1


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (r"we\nb", r"we\u000Ab"),
        (r"we\u001b[2Jb", r"we\u001B[2Jb"),
        (r"\u202Ebew", r"\u202Ebew"),
        (r"we\U000E0001b", r"we\U000E0001b"),
        ("w\u00e9b", "w\u00e9b"),
    ],
)
def test_a_name_that_moves_the_cursor_moves_nothing_where_problems_are_read(name: str, shown: str) -> None:
    """A terminal or a log shows one line for each problem, whatever the document spells in a key or a value."""
    problems = refused(f'{GOOD}[app."{name}"]\nbrand = "Acme"\nsecret_keys = ["{OPS_HASH}"]\n')
    rule = "a name has up to 32 lowercase letters, digits, - and _"
    assert problems == [f'policy: app."{shown}": {rule}']


def test_a_name_of_thousands_of_characters_is_cut_where_problems_are_read() -> None:
    """The beginning tells the place, and the end the line."""
    [problem] = refused_with_lines(GOOD.replace('upstream = "main"', f'upstream = "{"x" * 200_000}"'))
    assert len(problem) == len("policy: ...") + 1000
    assert problem.startswith("policy: route[0].steps[0].upstream: there is no upstream xxx")
    assert re.search(r"xxx \(line [0-9]+\)$", problem)
    least = len(refused_with_lines(GOOD.replace('upstream = "main"', 'upstream = "x"'))[0])
    for more, cut in ((1000, False), (1001, True)):
        name = "x" * (1 + more + len("policy: ") - least)
        [problem] = refused_with_lines(GOOD.replace('upstream = "main"', f'upstream = "{name}"'))
        assert ("..." in problem) is cut


def test_all_problems_are_reported_at_once_in_the_order_of_the_document() -> None:
    """Mistakes of several tables, and contradictions between tables, each with its line."""
    text = """\
[app.web]
brand = 1
secret_keys = ["pk_clear"]

[app.Shop]
brand = "Shop"

[upstream.main]
kind = "mobtexting"
base_url = "http://portal.example/"
sms = { service = "T" }

[challenge]
code_length = 4

[[route]]
match = { app = [
  "web",
  "stall",
] }
steps = [
  { channel = "sms", upstream = "mian", wait = "1s" },
  { channel = "sms", upstream = ["main",
    "spare"], wait = "600s", until = "never" },
  { channel = "voice", upstream = "main", waits = "30s" },
]
"""
    assert refused_with_lines(text) == [
        'policy: guard.countries.allow: names no country, so nothing would be sent; use "*" for all countries (line 1)',
        "policy: app.web.brand: not a valid string (line 2)",
        f"policy: app.web.secret_keys[0]: {KEY_RULE} (line 3)",
        "policy: app.Shop: a name has up to 32 lowercase letters, digits, - and _ (line 5)",
        "policy: upstream.main.token_env: missing data for required field (line 8)",
        f"policy: upstream.main.base_url: {CLEAR_RULE} (line 10)",
        "policy: upstream.main.sms.sender: missing data for required field (line 11)",
        "policy: challenge.code_length: must be from 6 to 10 (line 14)",
        "policy: route[0].match.app[1]: there is no app stall (line 19)",
        "policy: route[0].steps[0].wait: must be from 5 to 600 seconds (line 22)",
        "policy: route[0].steps[0].upstream: there is no upstream mian (line 22)",
        "policy: route[0].steps[1].until: must be one of accepted, sent, delivered, read (line 24)",
        "policy: route[0].steps[1].upstream[1]: there is no upstream spare (line 24)",
        "policy: route[0].steps[1].wait: must be shorter than challenge.ttl (line 24)",
        "policy: route[0].steps[2].waits: unknown field (line 25)",
        "policy: route[0].steps[2]: upstream main has no voice table (line 25)",
    ]


@pytest.mark.parametrize(
    "broken",
    [
        (UPSTREAM, "[upstream]\nmain = 1"),
        (UPSTREAM, UPSTREAM.replace('"T"', "1")),
        (UPSTREAM, UPSTREAM.replace("sms = {", "sms = 1 # {")),
        (UPSTREAM, "upstream = 1"),
        (APP, "[app]\nweb = 1"),
        (APP, APP.replace('"Acme"', "1")),
        ('wait = "30s"', 'wait = "auto"'),
        ("[[route]]", "[[route]]\nmatch = 1"),
        ("[[route]]", "[[route]]\nmatch = { app = [1] }"),
    ],
)
def test_a_mistake_in_a_field_causes_no_second_problem(broken: tuple[str, str]) -> None:
    """The value of a broken field is unknown, so nothing else is reported about it."""
    good = (
        GOOD.replace("[[route]]", '[challenge]\nauto_wait = ["9s"]\n[[route]]')
        if "wait" in broken[0]
        else GOOD
    )
    good = (
        good.replace("[[route]]", '[[route]]\nmatch = { app = ["web"] }')
        if broken[0] != "[[route]]"
        else good
    )
    start = f"{broken[1]}\n" if broken[1].startswith("upstream") else ""
    text = start + good.replace(broken[0], "" if start else broken[1])
    assert len(refused(text)) == 1


@settings(deadline=None)
@given(st.text())
def test_no_text_breaks_the_reader(text: str) -> None:
    """Any text gives a policy or problems."""
    with pytest.raises(ConfigurationError):
        policy.parse(text)


# Keys and hosts.


def test_a_key_belongs_to_one_app_and_is_of_one_kind() -> None:
    """A key is found by its hash only."""
    read = policy.parse(GOOD)
    web = read.apps["web"]
    assert read.key_owner(HASH) == (web, "publishable")
    assert read.key_owner(OTHER_HASH) == (web, "secret")
    for unknown in ("", "pk_a", HASH.upper(), HASH[:-1], OPS_HASH):
        assert read.key_owner(unknown) is None


def test_a_list_of_too_many_entries_is_named_and_nothing_else_is_read() -> None:
    """Comparing them with one another could take seconds."""
    crowd = GOOD.replace('origins = ["https://app.example.com"]', f"origins = [{'0, ' * 501}]")
    assert refused_with_lines(crowd) == ["policy: app.web.origins: has more than 500 entries (line 4)"]


def test_so_many_problems_are_cut() -> None:
    """Whoever has mended the first fifty sees the others."""
    many = "".join(f"unknown_{at} = 1\n" for at in range(60))
    with pytest.raises(ConfigurationError) as caught:
        policy.parse(many + GOOD)
    assert len(caught.value.problems) == 51
    assert caught.value.problems[-1] == "policy: more than 50 were found, and the others are left out"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f"{GOOD}# {'x' * 262_144}", "policy: is longer than 256 KiB"),
        (f"{GOOD}x = [{'0, ' * 20_001}]", "policy: has more than 20000 values"),
    ],
    ids=["text", "values"],
)
def test_a_document_that_is_too_large_as_a_whole_has_no_line(text: str, problem: str) -> None:
    """It is refused before its places are named."""
    with pytest.raises(ConfigurationError) as caught:
        policy.parse(text)
    assert caught.value.problems == [problem]


@pytest.mark.parametrize(("text", "line"), [("a = 1\nb = = 2\nc = 3\n", 2), ("a = 1\n\nb = ", 3)])
def test_broken_toml_is_refused_at_the_line_where_it_breaks(text: str, line: int) -> None:
    """That of the character, or the last one if the document ends too early."""
    [problem] = refused_with_lines(text)
    assert problem.endswith(f"(line {line})")


def test_hosts_to_which_texts_may_lead_are_read() -> None:
    """They stand beside the texts, and are none."""
    read = policy.parse(GOOD + '[template]\nhosts = ["acme.example", "acme.test"]\n')
    assert read.hosts == ("acme.example", "acme.test")
    assert read.templates == {}


def test_every_key_of_every_app_has_its_owner() -> None:
    """However many apps there are, and whichever was read last."""
    other = (
        f'[app.b]\nbrand = "B"\npublishable_keys = ["{digest("pk_b")}"]\nsecret_keys = ["{digest("sk_b")}"]\n'
    )
    read = policy.parse(APP + other + UPSTREAM + ROUTE)
    owned = {key: read.key_owner(digest(key)) for key in ("pk_a", "sk_a", "pk_b", "sk_b")}
    assert {key: (owner[0].name, owner[1]) for key, owner in owned.items() if owner} == {
        "pk_a": ("web", "publishable"),
        "sk_a": ("web", "secret"),
        "pk_b": ("b", "publishable"),
        "sk_b": ("b", "secret"),
    }


def test_so_many_warnings_are_cut_and_the_policy_is_read() -> None:
    """As problems are; each hash of the example is one."""
    hashes = ", ".join(f'"{at:064x}"' for at in range(60))
    read = policy.parse(GOOD.replace(f'secret_keys = ["{OTHER_HASH}"]', f"secret_keys = [{hashes}]"))
    assert len(read.warnings) == 51
    assert read.warnings[-1] == "more than 50 were found, and the others are left out"


def test_an_edited_policy_knows_the_keys_of_its_own_apps_only() -> None:
    """A key that was removed must not open the door for as long as the process lives."""
    read = policy.parse(GOOD)
    web = read.apps["web"]
    rotated = replace(read, apps={**read.apps, "web": replace(web, publishable_keys=(OTHER_HASH[::-1],))})
    assert rotated.key_owner(OTHER_HASH[::-1]) == (rotated.apps["web"], "publishable")
    assert rotated.key_owner(HASH) is None


def test_an_operators_key_gives_the_operators_name() -> None:
    """So that the log can name who did what."""
    read = policy.parse(
        f'{GOOD}\n[operator.anna]\nkeys = ["{OPS_HASH}"]\n[operator.ben]\nkeys = ["{digest("b")}"]'
    )
    assert read.operator_of(OPS_HASH) == "anna"
    assert read.operator_of(digest("b")) == "ben"
    for unknown in ("", "ops_a", HASH, OPS_HASH.upper()):
        assert read.operator_of(unknown) is None


@pytest.mark.parametrize(
    ("origins", "asked", "host"),
    [
        (["https://a.example", "https://b.example:8443"], "https://b.example:8443", "b.example"),
        (["https://a.example", "https://b.example"], None, "a.example"),
        (["https://a.example"], "https://evil.example", "a.example"),
        ([], "https://evil.example", ""),
        ([], None, ""),
        (["http://localhost:3000"], None, "localhost"),
    ],
)
def test_the_code_is_bound_to_a_host_of_the_app(origins: list[str], asked: str | None, host: str) -> None:
    """The requesting page's host if it is the app's, never another one."""
    app = policy.App(name="web", brand="Acme", origins=tuple(origins))
    assert app.host(asked) == host

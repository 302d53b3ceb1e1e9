"""The policy: what it says, what it refuses with its place and rule, and which plan a number gets."""

import re
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otp_service import phone, policy
from otp_service.challenge import Step
from otp_service.errors import ChannelNotAvailable, ConfigurationError, NoRoute
from otp_service.policy import ChallengeRules, Limits, Policy, Window
from otp_service.service import digest

HASH, OTHER_HASH, OPS_HASH = (digest(name) for name in ("pk_a", "sk_a", "ops_a"))
APP = f"""
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
    """Return what is wrong with a document."""
    with pytest.raises(ConfigurationError) as caught:
        policy.parse(text)
    return caught.value.problems


def routes(*tables: str) -> str:
    """Write a document with several routes by one step each."""
    steps = 'steps = [{ channel = "sms", upstream = "main" }]'
    return APP + UPSTREAM + "".join(f"\n[[route]]\n{table}\n{steps}\n" for table in tables)


# Reading.


def test_a_short_policy_is_enough_and_the_rest_has_sound_values() -> None:
    """One app, one upstream, one route; limits and challenges as the checklist says."""
    read = policy.parse(GOOD)
    assert read.apps["web"].brand == "Acme"
    assert read.routes[0].steps == (Step("sms", "main", 30),)
    assert read.challenge == ChallengeRules(
        code_length=6, ttl=300, max_attempts=5, max_sends=3, cooldown=(30, 60, 120)
    )
    assert read.limits == Limits(
        number=(Window(1, 30), Window(3, 600), Window(5, 3600), Window(10, 86400)), address=(Window(10, 60),)
    )
    assert read.ops_keys == ()
    assert read.warnings == ()


def test_everything_that_can_stand_in_a_policy_is_read() -> None:
    """Each table and field reaches the policy, as tuples and seconds."""
    read = policy.parse(
        f"""{APP}
[ops]
keys = ["{OPS_HASH}"]

[challenge]
code_length = 8
ttl = "10m"
max_attempts = 3
max_sends = 10
cooldown = ["1s", "2m"]

[limits]
number = ["2/m", "100/1d"]
address = []

[template.sms]
en = "{{code}} for {{brand}}"

[upstream.main]
kind = "mobtexting"
base_url = "http://127.0.0.1:8001/api/v2"
token_env = "OTP_UPSTREAM_MAIN_TOKEN"
auth = "query"
sms_path = "sms/message/send"
balance_paths = ["finance/balance"]
connect_timeout = 1
total_timeout = 2.5
sms = {{ service = "X", sender = "S", entity_id = "1", template_id = "2", webhook_id = "3" }}

[[route]]
match = {{ country = ["IN", "US"], app = ["web"], purpose = ["login"] }}
steps = [{{ channel = "sms", upstream = "main", wait = "599s" }}]
"""
    )
    assert read.ops_keys == (OPS_HASH,)
    assert read.challenge == ChallengeRules(
        code_length=8, ttl=600, max_attempts=3, max_sends=10, cooldown=(1, 120)
    )
    assert read.limits == Limits(number=(Window(2, 60), Window(100, 86400)), address=())
    assert read.templates == {"en": "{code} for {brand}"}
    main = read.upstreams["main"]
    assert (main.auth, main.sms_path, main.balance_paths) == (
        "query",
        "sms/message/send",
        ("finance/balance",),
    )
    assert (main.connect_timeout, main.total_timeout) == (1.0, 2.5)
    assert main.sms == policy.Sms(service="X", sender="S", entity_id="1", template_id="2", webhook_id="3")
    route = read.routes[0]
    assert [set(route.countries), set(route.apps), set(route.purposes)] == [{"IN", "US"}, {"web"}, {"login"}]


def test_comments_may_stand_anywhere() -> None:
    """The form of the document is TOML's own."""
    assert policy.parse("# first\n" + GOOD + "\n# last").upstreams["main"].kind == "mobtexting"


# Refusing: the place and the rule.

KEY_RULE = "must be the SHA-256 of a key in hex, as otp-service keys prints it"
WITH: Mapping[str, list[tuple[str, str]]] = {
    "[challenge]": [
        ("code_length = 5", "challenge.code_length: must be from 6 to 10"),
        ("code_length = 11", "challenge.code_length: must be from 6 to 10"),
        ("code_length = 6.5", "challenge.code_length: not a valid integer"),
        ('ttl = "59s"', "challenge.ttl: must be from 60 to 600"),
        ('ttl = "11m"', "challenge.ttl: must be from 60 to 600"),
        ("ttl = 300", 'challenge.ttl: must be a time such as "30s", "5m" or "24h"'),
        ('ttl = "5 m"', 'challenge.ttl: must be a time such as "30s", "5m" or "24h"'),
        ('ttl = "-5m"', 'challenge.ttl: must be a time such as "30s", "5m" or "24h"'),
        ("max_attempts = 0", "challenge.max_attempts: must be from 1 to 5"),
        ("max_attempts = 6", "challenge.max_attempts: must be from 1 to 5"),
        ("max_sends = 0", "challenge.max_sends: must be from 1 to 10"),
        ("max_sends = 11", "challenge.max_sends: must be from 1 to 10"),
        ("cooldown = []", "challenge.cooldown: must not be empty"),
        ('cooldown = ["30s", "0s"]', "challenge.cooldown[1]: must be from 1 to 600"),
        ('cooldown = "30s"', "challenge.cooldown: not a valid list"),
        ('earlier = "keep"', "challenge.earlier: unknown field"),
    ],
    "[limits]": [
        ("number = []", "limits.number: must not be empty"),
        ('number = ["3"]', 'limits.number[0]: must be a limit such as "3/10m" or "5/h"'),
        ('number = ["0/m"]', 'limits.number[0]: must be a limit such as "3/10m" or "5/h"'),
        ('number = ["1/m", "3/10y"]', 'limits.number[1]: must be a limit such as "3/10m" or "5/h"'),
        ("number = [3]", 'limits.number[0]: must be a limit such as "3/10m" or "5/h"'),
        ('address = ["-1/m"]', 'limits.address[0]: must be a limit such as "3/10m" or "5/h"'),
        ("everything = []", "limits.everything: unknown field"),
    ],
    "[ops]": [
        ('keys = ["ops_clear"]', f"ops.keys[0]: {KEY_RULE}"),
        (f'keys = ["{OPS_HASH}", "{OPS_HASH.upper()}"]', f"ops.keys[1]: {KEY_RULE}"),
    ],
    "[template.sms]": [
        ('en = "hello"', "template.sms.en: must contain {code} once"),
        ('en = "{code} {name}"', "template.sms.en: knows no variable {name}"),
        ("en = 1", "template.sms.en: not a valid string"),
    ],
    "[template.email]": [('en = "{code}"', "template.email: unknown field")],
    "[unknown]": [("x = 1", "unknown: unknown field")],
}


@pytest.mark.parametrize(
    ("table", "line", "problem"),
    [(table, line, problem) for table, cases in WITH.items() for line, problem in cases],
)
def test_a_wrong_value_is_refused_with_its_place_and_rule(table: str, line: str, problem: str) -> None:
    """The place is written as in TOML; nothing of the document takes effect."""
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
def test_an_origin_is_what_a_browser_sends_or_refused(origin: str) -> None:
    """It is compared whole, so one that no browser sends would lock its own page out."""
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
    ],
)
def test_good_origins_are_taken(origin: str) -> None:
    """With a port or without; plain HTTP only on the developer's own machine."""
    read = policy.parse(GOOD.replace("https://app.example.com", origin))
    assert read.apps["web"].origins == (origin,)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('brand = "Acme"', "", "app.web.brand: missing data for required field"),
        ('brand = "Acme"', 'brand = ""', "app.web.brand: must be 1 to 40 signs on one line"),
        ('brand = "Acme"', f'brand = "{"b" * 41}"', "app.web.brand: must be 1 to 40 signs on one line"),
        ('brand = "Acme"', 'brand = "A\\nB"', "app.web.brand: must be 1 to 40 signs on one line"),
        ('brand = "Acme"', "brand = 1", "app.web.brand: not a valid string"),
        (HASH, "pk_in_clear", f"app.web.publishable_keys[0]: {KEY_RULE}"),
        (OTHER_HASH, OTHER_HASH[:-1], f"app.web.secret_keys[0]: {KEY_RULE}"),
        (OTHER_HASH, HASH, f"app.web: the key {HASH[:8]}... stands twice in the document"),
        ('brand = "Acme"', 'brand = "Acme"\ncolour = "red"', "app.web.colour: unknown field"),
        ("[app.web]", "[app.Web]", "app.Web: a name is small letters, digits, - and _, 32 at most"),
        ("[upstream.main]", '[upstream."a b"]', None),
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
        (
            "sms = {",
            "connect_timeout = 6\nsms = {",
            "upstream.main.connect_timeout: must not be above total_timeout",
        ),
        ("sms = {", "balance_paths = []\nsms = {", "upstream.main.balance_paths: must not be empty"),
        (
            'sms = { service = "T", sender = "ACMEIN" }',
            "",
            "route[0].steps[0]: upstream main has no sms table",
        ),
        ('upstream = "main"', 'upstream = "other"', "route[0].steps[0].upstream: there is no upstream other"),
        ('channel = "sms"', 'channel = "pigeon"', "route[0].steps[0].channel: must be one of sms"),
        ('channel = "sms", ', "", "route[0].steps[0].channel: missing data for required field"),
        ('wait = "30s"', 'wait = "4s"', "route[0].steps[0].wait: must be from 5 to 600"),
        (
            'wait = "30s"',
            'wait = "5m"',
            "route[0].steps[0].wait: must end before the challenge does, challenge.ttl",
        ),
        ("[[route]]", '[[route]]\nmatch = { app = ["shop"] }', "route[0].match.app: there is no app shop"),
        (
            "[[route]]",
            '[[route]]\nmatch = { country = ["in"] }',
            "route[0].match.country[0]: must be two capital letters",
        ),
        (
            "[[route]]",
            '[[route]]\nmatch = { country = ["XX"] }',
            "route[0].match.country: there are no numbers of a country XX",
        ),
        ("[[route]]", '[[route]]\nmatch = { region = ["EU"] }', "route[0].match.region: unknown field"),
    ],
)
def test_a_policy_that_could_not_work_is_refused_where_it_is_wrong(
    old: str, new: str, problem: str | None
) -> None:
    """Each rule of each table, by one change of a good policy."""
    assert GOOD.count(old) >= 1
    found = refused(GOOD.replace(old, new))
    if problem is None:
        assert "upstream.a b: a name is small letters, digits, - and _, 32 at most" in found[0]
    else:
        assert found == [f"policy: {problem}"]


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("", ["app", "upstream", "route"]),
        (APP, ["upstream", "route"]),
        (APP + UPSTREAM, ["route"]),
        (UPSTREAM + ROUTE, ["app"]),
    ],
)
def test_the_three_tables_are_required(text: str, missing: list[str]) -> None:
    """Without one of them nothing could be sent."""
    assert sorted(refused(text)) == sorted(
        f"policy: {table}: missing data for required field" for table in missing
    )


def test_a_route_without_steps_is_refused() -> None:
    """It would match numbers and send nothing."""
    assert refused(f"{APP}{UPSTREAM}[[route]]\nsteps = []") == ["policy: route[0].steps: must not be empty"]


def test_broken_toml_is_refused_with_its_line() -> None:
    """The reader's own words say where."""
    (problem,) = refused("[app.web]\nbrand = Acme")
    assert problem.startswith("policy: is no TOML: ")
    assert "line 2" in problem


def test_all_problems_are_told_at_once() -> None:
    """An operator mends a document in one go."""
    text = f"{GOOD}\n[challenge]\ncode_length = 4\nmax_attempts = 9\n[limits]\nnumber = [1, 2]\n"
    assert len(refused(text)) == 4
    text = GOOD.replace('upstream = "main"', 'upstream = "x"').replace("[app.web]", "[app.WEB]")
    assert len(refused(f'{text}\n[template.sms]\nen = "x"\nde = "{{code}} {{y}}"')) == 4


@settings(deadline=None)
@given(st.text())
def test_no_text_breaks_the_reader(text: str) -> None:
    """Whatever stands in the file, the end is a policy or problems."""
    with pytest.raises(ConfigurationError):
        policy.parse(text)


# Routes.


@pytest.mark.parametrize(
    ("tables", "problem"),
    [
        (("", ""), "route[1]: nothing reaches this route, route[0] serves it all"),
        (
            ("", 'match = { country = ["IN"] }'),
            "route[1]: nothing reaches this route, route[0] serves it all",
        ),
        (
            ('match = { country = ["IN", "US"] }', 'match = { country = ["US"], purpose = ["x"] }'),
            "route[1]: nothing reaches this route, route[0] serves it all",
        ),
        (
            ('match = { country = ["IN"] }', 'match = { purpose = ["a"] }', 'match = { purpose = ["a"] }'),
            "route[2]: nothing reaches this route, route[1] serves it all",
        ),
    ],
)
def test_a_route_that_no_number_reaches_is_refused(tables: tuple[str, ...], problem: str) -> None:
    """It would look as if it did something."""
    assert refused(routes(*tables)) == [f"policy: {problem}"]


@pytest.mark.parametrize(
    "tables",
    [
        ('match = { country = ["IN"] }', ""),
        ('match = { country = ["IN"] }', 'match = { country = ["IN", "US"] }'),
        ('match = { purpose = ["a"] }', 'match = { country = ["IN"] }'),
        ('match = { country = ["IN"], purpose = ["a"] }', 'match = { country = ["IN"] }'),
        ('match = { app = ["web"] }', 'match = { purpose = ["a"] }'),
    ],
)
def test_routes_that_each_serve_something_are_taken(tables: tuple[str, ...]) -> None:
    """From the special to the general, or side by side."""
    assert len(policy.parse(routes(*tables)).routes) == 2


INDIA, AMERICA = phone.parse("+919876543210"), phone.parse("+12025550100")
TWO_UPSTREAMS = UPSTREAM + UPSTREAM.replace("upstream.main", "upstream.second").replace("MAIN", "SECOND")


@pytest.fixture(scope="module")
def routed() -> Policy:
    """Give a policy of three routes."""
    return policy.parse(
        f"""{APP}{APP.replace("web", "shop").replace(HASH, digest("1")).replace(OTHER_HASH, digest("2"))}
{TWO_UPSTREAMS}
[challenge]
code_length = 7
max_attempts = 4
[[route]]
match = {{ country = ["IN"], purpose = ["login"] }}
steps = [{{ channel = "sms", upstream = "second", wait = "9s" }}, {{ channel = "sms", upstream = "main" }}]
[[route]]
match = {{ country = ["IN"] }}
steps = [{{ channel = "sms", upstream = "main", wait = "11s" }}]
[[route]]
match = {{ app = ["shop"] }}
steps = [{{ channel = "sms", upstream = "main", wait = "12s" }}]
"""
    )


@pytest.mark.parametrize(
    ("number", "app", "purpose", "wait"),
    [
        (INDIA, "web", "login", 9),
        (INDIA, "web", "pay", 11),
        (INDIA, "shop", "pay", 11),
        (AMERICA, "shop", "login", 12),
        (AMERICA, "web", "login", None),
        (phone.parse("+80012345678"), "web", "login", None),
    ],
)
def test_the_first_route_that_serves_the_number_gives_the_plan(
    routed: Policy, number: phone.Number, app: str, purpose: str, wait: int | None
) -> None:
    """By country, app and purpose together; where none serves, nothing is sent."""
    if wait is None:
        with pytest.raises(NoRoute):
            routed.plan(number, app, purpose, None)
    else:
        assert routed.plan(number, app, purpose, None).steps[0].wait == wait


def test_a_plan_is_a_copy_of_all_rules(routed: Policy) -> None:
    """A running challenge does not notice a change of the policy."""
    plan = routed.plan(INDIA, "web", "login", None)
    assert plan.steps == (Step("sms", "second", 9), Step("sms", "main", 30))
    assert (plan.code_length, plan.ttl, plan.max_attempts, plan.max_sends) == (7, 300, 4, 3)
    assert plan.cooldown == (30, 60, 120)


def test_a_channel_that_is_asked_for_must_be_on_the_route(routed: Policy) -> None:
    """SMS is there and keeps its order; voice is not."""
    assert routed.plan(INDIA, "web", "login", "sms") == routed.plan(INDIA, "web", "login", None)
    with pytest.raises(ChannelNotAvailable):
        routed.plan(INDIA, "web", "login", "voice")


# Keys and hosts.


def test_a_key_belongs_to_one_app_and_is_of_one_kind() -> None:
    """Found by its digest only."""
    read = policy.parse(GOOD)
    web = read.apps["web"]
    assert read.key_owner(HASH) == (web, "publishable")
    assert read.key_owner(OTHER_HASH) == (web, "secret")
    for unknown in ("", "pk_a", HASH.upper(), HASH[:-1], OPS_HASH):
        assert read.key_owner(unknown) is None


@pytest.mark.parametrize("kind", ["publishable_keys", "secret_keys"])
def test_a_key_of_two_apps_or_of_operators_too_is_refused(kind: str) -> None:
    """It would be unclear who calls."""
    second = f'\n[app.second]\nbrand = "B"\n{kind} = ["{HASH}"]\n'
    assert refused(GOOD + second) == [
        f"policy: app.second: the key {HASH[:8]}... stands twice in the document"
    ]
    assert refused(f'{GOOD}\n[ops]\nkeys = ["{HASH}"]\n') == [
        f"policy: app.web: the key {HASH[:8]}... stands twice in the document"
    ]


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
    """That of the page that asks, if it is the app's; never a stranger's."""
    app = policy.App(name="web", brand="Acme", origins=tuple(origins))
    assert app.host(asked) == host


# Warnings.


def test_a_text_that_needs_two_parts_is_warned_of_and_taken() -> None:
    """It works, but costs twice; the warning names app, language and size."""
    long = "Dear customer, " * 10 + "{code}"
    read = policy.parse(f'{GOOD}\n[template.sms]\nen = "{long}"\n')
    assert read.warnings == ("app.web: the SMS in en needs 2 parts (182 units)",)


def test_one_sign_outside_the_gsm_alphabet_is_warned_of() -> None:
    """The same text with an accent that the alphabet lacks."""
    template = "Tu código es {code}, válido {minutes} minutos, no lo compartas con nadie."
    read = policy.parse(f'{GOOD}\n[template.sms]\nes = "{template}"\n')
    (warning,) = read.warnings
    assert re.fullmatch(r"app\.web: the SMS in es needs 2 parts \(\d+ units\)", warning)


def test_a_long_brand_is_warned_of_where_it_matters() -> None:
    """Languages of 70 signs a part run over first; a brand outside the alphabet makes all do so."""
    long = policy.parse(GOOD.replace("Acme", "The Acme Trading Company"))
    assert {warning.split()[4] for warning in long.warnings} == {"ar", "hi"}
    foreign = policy.parse(GOOD.replace("Acme", "Škoda"))
    assert {warning.split()[4] for warning in foreign.warnings} >= {"en", "de", "es", "pt"}

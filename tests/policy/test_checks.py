"""What the tables of a policy contradict each other in, and what they are warned of: place, rule and line."""

import re

import pytest

from otp_service import policy
from otp_service.access.api_keys import digest
from otp_service.errors import ConfigurationError

APP = f"""guard.countries.allow = ["*"]
[app.web]
brand = "Acme"
origins = ["https://app.example.com"]
secret_keys = ["{digest("sk_a")}"]
"""
UPSTREAM = """[upstream.main]
kind = "mobtexting"
base_url = "https://portal.example/api/v2/"
token_env = "OTP_UPSTREAM_MAIN_TOKEN"
sms = { service = "T", sender = "ACMEIN", entity_id = "1", template_id = "1" }
whatsapp = { sender = "1", template = "otp" }
"""
SPARE = UPSTREAM.replace("upstream.main", "upstream.spare")
ROUTE = """[[route]]
steps = [{ channel = "sms", upstream = "main", wait = "30s" }]
"""
GOOD = APP + UPSTREAM + ROUTE
OTHER = f'[app.other]\nbrand = "B"\nsecret_keys = ["{digest("o")}"]\n'


def refused(text: str) -> list[str]:
    """Return the problems of a document."""
    with pytest.raises(ConfigurationError) as caught:
        policy.parse(text)
    return [problem.removeprefix("policy: ") for problem in caught.value.problems]


def routes(*matches: str) -> str:
    """Write a document with routes of one step each, from line 12 on, two lines apart."""
    steps = 'steps = [{ channel = "sms", upstream = "main" }]'
    return APP + UPSTREAM + "".join(f"[[route]]\nmatch = {{ {match} }}\n{steps}\n" for match in matches)


def stepped(*steps: str, more: str = "") -> str:
    """Write a document whose route has these steps, from line 14 on."""
    lines = "".join(f"  {{ {step} }},\n" for step in steps)
    return f"{APP}{UPSTREAM}[[route]]\nsteps = [\n{lines}]\n{more}"


def test_the_policies_that_the_tests_change_are_valid() -> None:
    """So that each problem comes from the change alone."""
    assert policy.parse(GOOD).warnings == ()
    assert policy.parse(GOOD + SPARE).warnings == ()


# Names and keys.


@pytest.mark.parametrize("kind", ["app", "upstream", "operator"])
@pytest.mark.parametrize("name", ["Web", "a b", "1a", "-a", "a.b", "", "a" * 33])
def test_a_name_is_a_short_lowercase_word(kind: str, name: str) -> None:
    """It is used in logs, metrics and settings."""
    tables = {
        "app": f'brand = "B"\nsecret_keys = ["{digest("b")}"]',
        "upstream": UPSTREAM.partition("\n")[2],
        "operator": f'keys = ["{digest("b")}"]',
    }
    shown = name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else f'"{name}"'
    assert refused(f'{GOOD}[{kind}."{name}"]\n{tables[kind]}') == [
        f"{kind}.{shown}: a name has up to 32 lowercase letters, digits, - and _ (line 14)"
    ]


def test_names_of_routes_are_unique() -> None:
    """Two routes with one name could not be told apart in a log. A route may have no name."""
    named = GOOD.replace("[[route]]", '[[route]]\nname = "all"\nmatch = { country = ["IN"] }')
    assert policy.parse(named).routes[0].name == "all"
    second = '[[route]]\nname = "all"\nsteps = [{ channel = "sms", upstream = "main" }]'
    assert refused(named + second) == ["route[1].name: all is used twice, see route[0] (line 17)"]
    assert refused(named.replace('"all"', '"All"')) == [
        "route[0].name: a name has up to 32 lowercase letters, digits, - and _ (line 13)"
    ]


@pytest.mark.parametrize(
    ("more", "place"),
    [
        ('[app.b]\nbrand = "B"\nsecret_keys = ["KEY"]', "app.b.secret_keys[0]"),
        ('[app.b]\nbrand = "B"\npublishable_keys = ["KEY"]', "app.b.publishable_keys[0]"),
        ('[operator.b]\n\nkeys = ["KEY"]', "operator.b.keys[0]"),
        ('[upstream.main.receipts]\n\nsecrets = ["KEY"]', "upstream.main.receipts.secrets[0]"),
    ],
)
def test_a_key_is_used_once(more: str, place: str) -> None:
    """Otherwise it would be unclear who calls."""
    key = digest("sk_a")
    assert refused(GOOD + more.replace("KEY", key)) == [
        f"{place}: {key[:8]}... is used twice, see app.web.secret_keys[0] (line 16)"
    ]


def test_an_operator_has_one_of_three_roles() -> None:
    """The default is admin."""
    operator = f'[operator.ben]\nkeys = ["{digest("ops_ben")}"]\n'
    assert policy.parse(GOOD + operator).operators["ben"].role == "admin"
    for role in policy.ROLES:
        assert policy.parse(f'{GOOD}{operator}role = "{role}"').operators["ben"].role == role
    assert refused(f'{GOOD}{operator}role = "root"') == [
        "operator.ben.role: must be one of read, operate, admin (line 16)"
    ]


@pytest.mark.parametrize(
    ("times", "line"),
    [
        ("connect_timeout = 5.5", 15),
        ("total_timeout = 1\nconnect_timeout = 2", 16),
        ("total_timeout = 1.9", 14),
    ],
)
def test_connecting_may_take_no_longer_than_the_whole_call(times: str, line: int) -> None:
    """The defaults of 2 and 5 seconds are checked too."""
    assert refused(GOOD + SPARE.replace("kind", f"{times}\nkind")) == [
        f"upstream.spare.connect_timeout: must not be above total_timeout (line {line})"
    ]


def test_connecting_may_take_the_whole_call() -> None:
    """The two limits may be the same."""
    spare = SPARE.replace("kind", "connect_timeout = 2\ntotal_timeout = 2\nkind")
    assert policy.parse(GOOD + spare).warnings == ()


# Where messages may go.


@pytest.mark.parametrize(
    ("match", "countries"),
    [
        ("", ["GB", "IN"]),
        ('country = ["GB", "IN", "US"]', ["GB", "IN"]),
        ('app = ["web"]', ["GB"]),
        ('prefix = ["+4479"]', ["GB"]),
        ('prefix = ["+4"]', ["GB"]),
        ('type = ["mobile"]', ["GB"]),
    ],
)
def test_an_allowed_country_that_a_route_serves_is_accepted(match: str, countries: list[str]) -> None:
    """A route for some of its numbers is enough."""
    text = routes(match).replace('["*"]', str(countries).replace("'", '"'), 1)
    assert policy.parse(text).guard.countries.allow == tuple(countries)


@pytest.mark.parametrize(
    "matches",
    [
        ['country = ["IN"]'],
        ['prefix = ["+91", "+1"]'],
        ['app = ["other"]', 'app = ["web"], country = ["IN"]'],
        ['country = ["GB", "IN"], prefix = ["+91"]'],
    ],
)
def test_an_allowed_country_that_no_route_serves_is_refused(matches: list[str]) -> None:
    """Its numbers would pass the guard and reach no route. The problem names the country."""
    allowed = 'guard.countries.allow = [\n"IN",\n"GB",\n]\n'
    assert refused(routes(*matches).replace("origins", f"{allowed}origins") + OTHER) == [
        "app.web.guard.countries.allow[1]: no route of app web serves GB (line 6)"
    ]


def test_a_country_allowed_to_all_apps_needs_a_route_for_each() -> None:
    """An app without its own rules has the common ones. An app with its own countries has only these."""
    text = routes('app = ["web"]').replace('["*"]', '["GB"]', 1) + OTHER
    assert refused(text) == ["guard.countries.allow[0]: no route of app other serves GB (line 1)"]
    assert refused(f"{text}[app.other.guard.number]\nhold = '1h'") == [
        "guard.countries.allow[0]: no route of app other serves GB (line 1)"
    ]
    assert policy.parse(f"{text}[app.other.guard.countries]\nallow = ['*']").apps["other"].guard


@pytest.mark.parametrize("first", ["", "guard.countries.allow = []\n", 'guard.number.hold = "1h"\n'])
def test_countries_must_be_named(first: str) -> None:
    """An empty list allows none, which would only be noticed when the first send is refused."""
    text = GOOD.replace('guard.countries.allow = ["*"]\n', first)
    rule = (
        "must not be empty"
        if first.endswith("[]\n")
        else 'names no country, so nothing would be sent; use "*" for all countries'
    )
    assert refused(text) == [f"guard.countries.allow: {rule} (line 1)"]


def test_countries_may_be_named_by_each_app() -> None:
    """An app's own rules without countries do not help the app."""
    nowhere = GOOD.partition("\n")[2]
    assert policy.parse(f'{nowhere}[app.web.guard.countries]\nallow = ["GB"]').guard.countries.allow == ()
    assert refused(f'{nowhere}[app.web.guard.address]\nmode = "off"') == [
        'guard.countries.allow: names no country, so nothing would be sent; use "*" for all countries (line 1)'
    ]


def test_of_several_earlier_routes_the_first_is_named() -> None:
    """It is the one that numbers take."""
    same = ['country = ["GB"]'] * 3
    assert refused(routes(*same)) == [
        "route[1]: is never reached, route[0] already serves everything it matches (line 15)",
        "route[2]: is never reached, route[0] already serves everything it matches (line 18)",
    ]


@pytest.mark.parametrize(
    ("matches", "problem"),
    [
        (["", ""], "route[1]: is never reached, route[0] already serves everything it matches (line 15)"),
        (
            ["", 'country = ["IN"]'],
            "route[1]: is never reached, route[0] already serves everything it matches (line 15)",
        ),
        (
            ['country = ["IN", "US"]', 'country = ["US"], purpose = ["x"]'],
            "route[1]: is never reached, route[0] already serves everything it matches (line 15)",
        ),
        (
            ['country = ["IN"]', 'purpose = ["a"]', 'purpose = ["a"]'],
            "route[2]: is never reached, route[1] already serves everything it matches (line 18)",
        ),
        (
            ['country = ["IN"]', 'country = ["US"]', 'country = ["US", "IN"]'],
            "route[2]: is never reached, route[0] and route[1] already serve everything it matches (line 18)",
        ),
        (
            ['prefix = ["+44", "+49"]', 'prefix = ["+4479"]'],
            "route[1]: is never reached, route[0] already serves everything it matches (line 15)",
        ),
        (
            ['prefix = ["+44"]', 'country = ["GB"], type = ["mobile"]'],
            "route[1]: is never reached, route[0] already serves everything it matches (line 15)",
        ),
        (
            ['type = ["mobile", "voip"]', 'type = ["voip"], prefix = ["+1"]'],
            "route[1]: is never reached, route[0] already serves everything it matches (line 15)",
        ),
    ],
)
def test_a_route_that_is_never_reached_is_refused(matches: list[str], problem: str) -> None:
    """It would look as if it had an effect."""
    assert refused(routes(*matches)) == [problem]


@pytest.mark.parametrize(
    "matches",
    [
        ('country = ["IN"]', ""),
        ('country = ["IN"]', 'country = ["IN", "US"]'),
        ('purpose = ["a"]', 'country = ["IN"]'),
        ('country = ["IN"], purpose = ["a"]', 'country = ["IN"]'),
        ('app = ["web"]', 'purpose = ["a"]'),
        ('prefix = ["+4479"]', 'prefix = ["+44"]'),
        ('prefix = ["+4479"]', 'country = ["GB"]'),
        ('country = ["GB"]', 'prefix = ["+44"]'),
        ('prefix = ["+44"]', ""),
        ('type = ["mobile"]', ""),
        ('type = ["mobile"]', 'type = ["fixed_line"]'),
    ],
)
def test_routes_that_each_serve_something_are_accepted(matches: tuple[str, str]) -> None:
    """From the specific to the general, or side by side."""
    assert len(policy.parse(routes(*matches)).routes) == 2


@pytest.mark.parametrize(
    ("match", "problem"),
    [
        ('app = ["web", "shop"]', "route[0].match.app[1]: there is no app shop"),
        ('country = ["XX"]', "route[0].match.country[0]: country XX has no phone numbers"),
        (
            'country = ["GB"], prefix = ["+4479", "+91"]',
            "route[0].match.prefix[1]: no number of these countries begins with +91",
        ),
    ],
)
def test_a_match_that_cannot_be_met_is_refused(match: str, problem: str) -> None:
    """It names an unknown app, or a prefix outside its countries."""
    assert refused(routes(match)) == [f"{problem} (line 13)"]


# Steps.


@pytest.mark.parametrize(
    ("accounts", "place"),
    [
        ('"other"', "upstream"),
        ('["other"]', "upstream"),
        ('["main", "other"]', "upstream[1]"),
        ("{ main = 1, other = 2 }", "upstream.other"),
    ],
)
def test_a_step_names_existing_accounts(accounts: str, place: str) -> None:
    """The problem names the place of each unknown one."""
    assert refused(stepped(f'channel = "sms", upstream = {accounts}')) == [
        f"route[0].steps[0].{place}: there is no upstream other (line 14)"
    ]


@pytest.mark.parametrize("channel", [c for c in policy.CHANNELS if c not in {"sms", "whatsapp"}])
def test_an_account_has_a_table_for_the_steps_channel(channel: str) -> None:
    """Otherwise the sender of the message is unknown."""
    assert refused(
        stepped('channel = "sms", upstream = "main"', f'channel = "{channel}", upstream = "main"')
    ) == [f"route[0].steps[1]: upstream main has no {channel} table (line 15)"]


@pytest.mark.parametrize("channel", ["sms", "voice"])
def test_only_channels_that_report_reading_can_wait_for_it(channel: str) -> None:
    """A step over another channel would never succeed."""
    more = '[upstream.main.voice]\nbridge = "1"'
    assert refused(stepped(f'channel = "{channel}", upstream = "main", until = "read"', more=more)) == [
        f"route[0].steps[0].until: {channel} does not report that a message was read (line 14)"
    ]
    assert policy.parse(stepped('channel = "whatsapp", upstream = "main", until = "read"')).routes


def waiting(*waits: str) -> list[str]:
    """Write steps over one channel with these waits."""
    return [f'channel = "sms", upstream = "main", wait = "{wait}"' for wait in waits]


@pytest.mark.parametrize(
    "waits", [["299s"], ["100s", "199s", "299s"], ["auto", "239s", "auto"], ["60s", "auto", "auto"]]
)
def test_waits_that_end_before_the_challenge_are_accepted(waits: list[str]) -> None:
    """The last step's wait delays no other step. A learned wait counts as its upper bound."""
    assert policy.parse(stepped(*waiting(*waits))).routes


@pytest.mark.parametrize(
    ("waits", "problem"),
    [
        (["5m"], "steps[0].wait: must be shorter than challenge.ttl (line 14)"),
        (["30s", "400s"], "steps[1].wait: must be shorter than challenge.ttl (line 15)"),
        (
            ["100s", "200s", "30s"],
            "steps[1].wait: the waits up to this step take 300 seconds, challenge.ttl allows at most 299 (line 15)",
        ),
        (
            ["auto", "240s", "30s"],
            "steps[1].wait: the waits up to this step take 300 seconds, challenge.ttl allows at most 299 (line 15)",
        ),
    ],
)
def test_waits_that_outlast_the_challenge_are_refused(waits: list[str], problem: str) -> None:
    """The steps after them would never be sent."""
    assert refused(stepped(*waiting(*waits))) == [f"route[0].{problem}"]


def test_each_wait_that_outlasts_the_challenge_is_told() -> None:
    """Also after another; waits that outlast it together are told once, where they first do."""
    assert refused(stepped(*waiting("5m", "30s", "6m"))) == [
        "route[0].steps[0].wait: must be shorter than challenge.ttl (line 14)",
        "route[0].steps[2].wait: must be shorter than challenge.ttl (line 16)",
    ]
    five = waiting("100s", "100s", "100s", "30s", "30s")
    assert refused(stepped(*five, more="[challenge]\nmax_sends = 5")) == [
        "route[0].steps[2].wait: the waits up to this step take 300 seconds, challenge.ttl allows at most 299 (line 16)"
    ]


def test_learned_waits_count_as_their_upper_bound() -> None:
    """A higher upper bound can make them too long."""
    text = stepped(*waiting("auto", "auto", "auto"), more='[challenge]\nauto_wait = ["10s", "150s"]')
    assert refused(text) == [
        "route[0].steps[1].wait: the waits up to this step take 300 seconds, challenge.ttl allows at most 299 (line 15)"
    ]


def test_a_step_beyond_the_last_message_is_refused() -> None:
    """A challenge of three messages ends with its third step, unless a step may be skipped."""
    four = waiting("30s", "30s", "30s", "30s")
    assert refused(stepped(*four)) == [
        "route[0].steps[3]: is never reached, challenge.max_sends is 3 (line 17)"
    ]
    assert policy.parse(
        stepped(*four, more="[challenge]\nmax_sends = 4\n[guard.number]\nrefuse = ['4/10m']")
    ).routes
    four[0] += ', if = "mobile"'
    assert policy.parse(stepped(*four)).routes


# What is broken is not known.

FOUR = waiting("30s", "30s", "30s", "30s")


@pytest.mark.parametrize(
    "text",
    [
        "app = 1\n" + routes('app = ["web"]').removeprefix(APP),
        APP.replace("origins", 'guard.countries.allow = ["GB"]\norigins') + UPSTREAM + "[route]\nx = 1",
        APP.replace("origins", 'guard.countries.allow = ["GB"]\norigins')
        + UPSTREAM
        + "[[route]]\nmatch = 1\n"
        + ROUTE[10:],
        stepped(*waiting("400s"), more='[challenge]\nttl = "11m"'),
        stepped(*waiting("auto", "auto"), more='[challenge]\nttl = "60s"\nauto_wait = ["9s"]'),
        stepped(*waiting("1s", "30s", "30s"), more='[challenge]\nttl = "60s"\nauto_wait = ["10s", "50s"]'),
        routes("prefix = [1]", 'country = ["IN"]'),
        routes('country = ["IN"]', 'country = ["IN"], type = [1]'),
        stepped(*FOUR, more="[challenge]\nmax_sends = 11"),
        f"{APP}{UPSTREAM}[[route]]\nsteps = [{', '.join(f'{{{step}}}' for step in FOUR[:3])}, 3]",
        stepped(FOUR[0] + ', if = "x"', *FOUR[1:]),
        routes('country = ["GB", "xx"], prefix = ["+91"]'),
        GOOD + SPARE.replace("kind", "connect_timeout = 99\ntotal_timeout = 1\nkind"),
        GOOD + SPARE.replace("kind", "connect_timeout = 5.5\ntotal_timeout = 99\nkind"),
    ],
)
def test_a_broken_field_causes_one_problem_only(text: str) -> None:
    """The default that replaces it does not contradict anything."""
    assert len(refused(text)) == 1


# Warnings.


def warned(text: str) -> list[str]:
    """Return the warnings of a valid document."""
    return list(policy.parse(text).warnings)


@pytest.mark.parametrize(
    ("allow", "missing"),
    [
        ('["GB"]', "GG, IM, JE"),
        ('["GB", "JE"]', "GG, IM"),
        ('["GB", "GG", "IM", "JE"]', None),
        ('["*"]', None),
        ('["GB", "*"]', None),
        ('["IN"]', None),
    ],
)
def test_britain_without_its_islands_causes_a_warning(allow: str, missing: str | None) -> None:
    """They are countries of their own with numbers that look British."""
    found = [line for line in warned(GOOD.replace('["*"]', allow)) if "whose numbers also" in line]
    if missing is None:
        assert found == []
    else:
        assert f"allows GB without {missing}, whose numbers also begin with +44" in found[0]


@pytest.mark.parametrize(
    ("types", "unserved"),
    [
        ('"fixed_line"', ["IN", "US"]),
        ('"mobile"', ["US"]),
        ('"fixed_line_or_mobile"', ["IN"]),
        ('"mobile", "fixed_line_or_mobile"', []),
    ],
)
def test_a_country_whose_mobile_numbers_no_route_serves_causes_a_warning(
    types: str, unserved: list[str]
) -> None:
    """In North America a mobile number cannot be told from a landline."""
    text = GOOD.replace('["*"]', '["IN", "US"]').replace(
        "[[route]]", f"[[route]]\nmatch = {{ type = [{types}] }}"
    )
    found = [
        line.split(" serves mobile numbers of ")[1][:2] for line in warned(text) if "mobile numbers" in line
    ]
    assert found == unserved


def test_networks_without_a_country_can_be_named_beside_all_countries() -> None:
    """No route by country serves them, and none is asked for."""
    names = ("*", "satellite", "international_networks")
    allowed = policy.parse(GOOD.replace('["*"]', '["*", "satellite", "international_networks"]'))
    assert allowed.guard.countries.allow == names
    assert allowed.warnings == ()


def test_the_hash_of_the_example_causes_a_warning() -> None:
    """No key has it: the operator forgot to replace it."""
    example = "0" * 63 + "1"
    assert warned(GOOD.replace("secret_keys", f'publishable_keys = ["{example}"]\nsecret_keys')) == [
        "app.web.publishable_keys[0]: is the hash of the example, which no key has (line 5)"
    ]


def test_a_route_with_conditions_only_causes_a_warning() -> None:
    """A number that meets no condition gets no message."""
    step = 'channel = "whatsapp", upstream = "main", if = "open"'
    assert warned(stepped(step)) == [
        "route[0].steps: every step has a condition, so some numbers may get no message (line 13)"
    ]
    assert warned(stepped(step, 'channel = "sms", upstream = "main"')) == []


@pytest.mark.parametrize(
    ("rules", "warning"),
    [
        (
            '[guard.number]\nrefuse = ["2/10m"]',
            "guard.number.refuse[0]: allows fewer messages than challenge.max_sends, which is 3 (line 15)",
        ),
        (
            '[guard.number]\nrefuse = ["2/5m"]',
            "guard.number.refuse[0]: allows fewer messages than challenge.max_sends, which is 3 (line 15)",
        ),
        (
            '[app.web.guard.number]\nrefuse = ["1/30s", "2/10m"]',
            "app.web.guard.number.refuse[1]: allows fewer messages than challenge.max_sends, which is 3 (line 15)",
        ),
        (
            '[guard.number]\nrefuse = ["2/10m"]\n[app.web.guard.number]\nmode = "watch"',
            "guard.number.refuse[0]: allows fewer messages than challenge.max_sends, which is 3 (line 15)",
        ),
        (
            '[guard.number]\nrefuse = ["2/10m"]\n[app.web.guard.address]\nmode = "watch"',
            "guard.number.refuse[0]: allows fewer messages than challenge.max_sends, which is 3 (line 15)",
        ),
        (
            '[guard.cooldown]\nladder = ["45s"]',
            "challenge.cooldown[0]: is shorter than the 45 s that guard.cooldown.ladder requires (line 1)",
        ),
        (
            '[app.web.guard.cooldown]\nladder = ["10s", "90s"]',
            "challenge.cooldown[1]: is shorter than the 90 s that app.web.guard.cooldown.ladder requires (line 1)",
        ),
        (
            '[challenge]\ncooldown = ["30s", "300s"]',
            "challenge.cooldown[1]: no resend is possible after it, as challenge.ttl is not longer (line 15)",
        ),
    ],
)
def test_limits_that_break_a_promise_of_a_challenge_cause_a_warning(rules: str, warning: str) -> None:
    """A screen would offer another message that the guard always refuses."""
    assert warned(f"{GOOD}{rules}") == [warning]


@pytest.mark.parametrize(
    "rules",
    [
        '[guard.number]\nrefuse = ["1/10m"]\n[challenge]\nmax_sends = 1\ncooldown = ["9m"]',
        '[guard.number]\nrefuse = ["2/299s"]',
        '[challenge]\ncooldown = ["45s", "45s", "30s"]\n[guard.cooldown]\nladder = ["45s"]',
        '[guard.number]\nrefuse = ["1/10m"]\nmode = "watch"\n[guard.cooldown]\nladder = ["9m"]\nmode = "off"',
    ],
)
def test_limits_that_break_no_promise_cause_no_warning(rules: str) -> None:
    """One message, a window shorter than a challenge, a cooldown after the last message, rules that refuse nothing."""
    assert warned(f"{GOOD}{rules}") == []


def test_a_text_of_two_parts_causes_a_warning() -> None:
    """It is accepted, but costs twice. The warning names app, language and size."""
    long = "Dear customer, " * 10 + "{code}"
    assert warned(f'{GOOD}[template.sms]\nen = "{long}"\n') == [
        "template.sms.en: the SMS in en of app web needs 2 parts, 197 units (line 15)"
    ]


def test_one_character_outside_the_gsm_alphabet_causes_a_warning() -> None:
    """The same text with an accent that the alphabet lacks."""
    template = "Tu código es {code}, válido {minutes} minutos, no lo compartas con nadie."
    (warning,) = warned(f'{GOOD}[template.sms]\nes-MX = "{template}"\n')
    assert re.fullmatch(
        r"template\.sms\.es-MX: the SMS in es-MX of app web needs 2 parts, \d+ units, Unicode because of ó "
        r"\(U\+00F3\) and á \(U\+00E1\) \(line 15\)",
        warning,
    )


def test_a_long_brand_causes_a_warning_in_the_languages_it_affects() -> None:
    """Languages with 70 characters a part exceed it first; a brand outside the alphabet affects all."""
    long = warned(GOOD.replace("Acme", "The Acme Trading Company"))
    assert {warning.split()[4] for warning in long} == {"ar", "hi"}
    assert all(warning.startswith("app.web.brand: ") and warning.endswith("(line 3)") for warning in long)
    foreign = warned(GOOD.replace("Acme", "Škoda"))
    assert {warning.split()[4] for warning in foreign} >= {"en", "de", "es", "pt"}


def test_a_long_call_causes_a_warning() -> None:
    """People hang up before its end. A template with one code is said twice."""
    long = "Good morning from all of us. " * 7 + "{code}"
    assert warned(f'{GOOD}[template.voice]\nen = "{long} {{code}}"') == []
    assert warned(f'{GOOD}[template.voice]\nen = "{long}"') == [
        "template.voice.en: the call in en of app web lasts about 32 s (line 15)"
    ]


def test_the_longest_text_that_can_leave_is_judged() -> None:
    """With the longest host, an Android app's hash, and the eight digits that the guard asks for after many guesses."""
    template = "a" * 113 + " {code}"
    (warning,) = warned(f'{GOOD}[template.sms]\nen = "{template}"\n')
    assert "needs 2 parts, 161 units" in warning
    off = GOOD.replace('wait = "30s"', 'wait = "30s", lines = "off"')
    assert warned(f'{off}[template.sms]\nen = "{template}"\n') == []


@pytest.mark.parametrize(
    ("template", "warning"),
    [
        ("Call 0800 1234: {code}", "phones may fill in 0800 1234 instead of the code"),
        ("2026: {code}", "phones may fill in 2026 instead of the code"),
        ("G-{code}", None),
        ("G{code}", "a letter or digit touches {code}, so phones may not find the code"),
        ("{code}is it", "a letter or digit touches {code}, so phones may not find the code"),
        ("{code}{brand}", "a letter or digit touches {code}, so phones may not find the code"),
        ("{minutes}{code}", "a letter or digit touches {code}, so phones may not find the code"),
        ("{code} {brand}", None),
        ("{code}: valid 24 h, 365", None),
    ],
)
def test_what_misleads_autofill_causes_a_warning(template: str, warning: str | None) -> None:
    """Phones look for a run of digits that stands alone, and take the first."""
    found = warned(f'{GOOD}[template.sms]\npl = "{template}"\n')
    assert found == ([f"template.sms.pl: {warning} (line 15)"] if warning else [])


def test_a_brand_with_many_digits_causes_a_warning() -> None:
    """It stands in the same text as the code."""
    assert "app.web.brand: phones may fill in 2000 instead of the code (line 3)" in warned(
        GOOD.replace("Acme", "Shop 2000")
    )


@pytest.mark.parametrize("channel", ["whatsapp", "mip"])
def test_a_default_language_without_a_template_is_refused(channel: str) -> None:
    """A person whose language has no template would get nothing."""
    more = f'{channel} = {{ sender = "1", template = "t", languages = {{ pt-BR = "pt_BR", de = "de" }}'
    text = GOOD.replace('whatsapp = { sender = "1", template = "otp" }', f"{more} }}")
    assert refused(text) == [
        f"upstream.main.{channel}: default_language is en, but languages names only pt_BR, de (line 11)"
    ]
    named = text.replace('template = "t"', 'template = "t", default_language = "de"')
    assert policy.parse(named).upstreams["main"].has(channel)


# India, and other senders.

REGISTERED = GOOD.replace('allow = ["*"]', 'allow = ["IN"]').replace(
    'template_id = "1"', "template_ids = [IDS]"
)
LANGUAGES = ("ar", "de", "en", "es", "fr", "hi", "it", "nl", "pt")


def india(*ids: str, more: str = "", **change: str) -> list[str]:
    """Warn of a policy that sends to India, with an id for each language unless others are given."""
    named = ids or tuple(f'{{ id = "id-{tag}", language = "{tag}" }}' for tag in LANGUAGES)
    text = REGISTERED.replace("IDS", ", ".join(named)) + more
    for old, new in change.items():
        text = text.replace({"sender": "ACMEIN", "service": 'service = "T"', "brand": "Acme"}[old], new)
    return warned(text)


def test_a_policy_registered_in_india_causes_no_warning() -> None:
    """An entity, a header of six letters, and an id for each text."""
    assert india() == []


def test_india_without_ids_causes_a_warning() -> None:
    """However messages can go there: as one of all countries, an allowed country, in a match, by its prefix."""
    rule = "upstream.main.sms: India delivers no SMS without entity_id and template_id or template_ids (DLT) (line 10)"
    assert warned(_unregistered(GOOD)) == [rule]
    assert warned(_unregistered(GOOD.replace('["*"]', '["IN"]'))) == [rule]
    assert warned(_unregistered(GOOD.replace('["*"]', '["US"]\nguard.countries.mode = "watch"'))) == [
        rule.replace("10", "11")
    ]
    assert warned(_unregistered(routes('country = ["IN"]'))) == [rule]
    assert warned(_unregistered(routes('prefix = ["+919"]'))) == [rule]
    assert warned(_unregistered(routes('country = ["GB"]'))) == []
    assert warned(_unregistered(GOOD.replace('["*"]', '["US"]'))) == []


def _unregistered(text: str) -> str:
    return text.replace(', entity_id = "1", template_id = "1"', "")


@pytest.mark.parametrize(
    ("change", "warning"),
    [
        (
            {"sender": "ACME12"},
            "upstream.main.sms.sender: must have six letters for service T in India (line 10)",
        ),
        (
            {"sender": "ACME"},
            "upstream.main.sms.sender: must have six letters for service T in India (line 10)",
        ),
        (
            {"service": 'service = "P"'},
            "upstream.main.sms.service: India allows promotional P from 9 to 21 h only, not for login codes (line 10)",
        ),
        (
            {"brand": "The Acme Trading Company of India"},
            "app.web.brand: is longer than the 30 characters of a variable in India (line 3)",
        ),
    ],
)
def test_what_india_refuses_causes_a_warning(change: dict[str, str], warning: str) -> None:
    """Headers of transactional messages, promotional hours, the length of variables."""
    assert warning in india(**change)


def test_an_id_of_several_texts_causes_a_warning() -> None:
    """The network compares each text with the registered one. The languages and apps are named."""
    (warning,) = india('{ id = "7", language = "en" }', '{ id = "8" }')
    assert warning.startswith(
        "upstream.main.sms: id 8 stands for several texts: ar of web, de of web, es of web"
    )
    assert "id-en stands for several texts: en of web, en of other" in "".join(india(more=OTHER))


def test_an_id_is_one_text_over_all_accounts() -> None:
    """A second account may send another language under the id of the first."""
    ids = [f'{{ id = "{tag}", language = "{tag}" }}' for tag in LANGUAGES]
    text = REGISTERED.replace('upstream = "main"', 'upstream = ["main", "spare"]')
    spare = SPARE.replace('template_id = "1"', 'template_ids = [{ id = "en", language = "de" }]')
    assert warned(text.replace("IDS", ", ".join(ids)) + spare) == [
        "upstream.main.sms: id en stands for several texts: en of web, de of web (line 10)"
    ]


def test_ids_are_compared_with_texts_a_million_times_at_most() -> None:
    """Over all accounts: ten languages with the policy's own, two apps, and 499 ids of 99 purposes, each plus one."""
    ids = ", ".join(f'{{ id = "{at}", purpose = "p{at % 99}" }}' for at in range(499))
    most = REGISTERED.replace('"IN"', '"US"').replace("IDS", ids) + OTHER
    own = '[template.sms]\npl = "Kod {code}"\n'
    assert policy.parse(most + own).warnings == ()
    assert refused(most + SPARE + own) == [
        "upstream.spare.sms.template_ids: has too many entries for so many apps, languages and purposes (line 21)"
    ]


def test_payments_to_india_are_registered_with_their_own_texts() -> None:
    """An app that confirms payments sends no other text, so its ids stand for these."""
    payments = 'Acme"\nbinding = "in_message'
    own = '[template.payment]\nen = "{code} for {payee}, {amount}"\nen-IN = "{code}: {amount} to {payee}"\n'
    found = india('{ id = "1", language = "en" }', more=own, brand=payments)
    assert [each for each in found if "several" in each] == [
        "upstream.main.sms: id 1 stands for several texts: en of web, en-IN of web (line 11)"
    ]
    rule = "app.web.binding: amount and payee have up to 40 characters, a variable in India has 30 (line 4)"
    assert rule in found


@pytest.mark.parametrize(
    ("sender", "rule"),
    [
        ("ACMECOMPANYX", "sender: is longer than the 11 characters that networks show"),
        ("1234567890123456", "sender: is longer than the 15 characters that networks show"),
        ("ACMECOMPANY", None),
        ("+447700900000", None),
    ],
)
def test_a_sender_that_networks_cut_causes_a_warning(sender: str, rule: str | None) -> None:
    """3GPP TS 23.040 has room for eleven letters."""
    found = warned(GOOD.replace("ACMEIN", sender).replace('["*"]', '["US"]'))
    assert found == ([f"upstream.main.sms.{rule} (line 10)"] if rule else [])


@pytest.mark.parametrize("service", ["VOC", "WAP", "RCS", "MIP"])
def test_a_code_of_another_product_causes_a_warning(service: str) -> None:
    """An SMS under the code of calls is refused."""
    found = warned(GOOD.replace('service = "T"', f'service = "{service}"'))
    assert found == [f"upstream.main.sms.service: {service} is not a code for SMS (line 10)"]


# Payments.


@pytest.mark.parametrize(
    ("step", "problem"),
    [
        (
            'channel = "whatsapp", upstream = "main"',
            "whatsapp of main cannot say amount and payee for app web",
        ),
        ('channel = "voice", upstream = "main"', "voice of main cannot say amount and payee for app web"),
        ('channel = "mip", upstream = "main"', "mip of main cannot say amount and payee for app web"),
    ],
)
def test_an_app_for_payments_has_no_step_that_says_the_code_only(step: str, problem: str) -> None:
    """The vendor keeps the words of templates and flows."""
    more = 'voice = { bridge = "1", mode = "flow", flow_id = "2" }\nmip = { sender = "a", template = "t" }\n'
    text = f"{APP}{UPSTREAM}{more}[[route]]\nsteps = [{{ {step} }}]\n"
    policy.parse(text)
    found = refused(text.replace('brand = "Acme"', 'brand = "Acme"\nbinding = "in_message"'))
    assert [each.split(" (line")[0] for each in found] == [f"route[0].steps[0]: {problem}"]


def test_a_route_that_no_payment_comes_to_may_say_the_code_only() -> None:
    """An earlier route takes every send of the app; one that takes some of them leaves the others."""
    more = 'mip = { sender = "a", template = "t" }\n'
    app = APP.replace('brand = "Acme"', 'brand = "Acme"\nbinding = "in_message"')
    own = '[[route]]\nmatch = {}\nsteps = [{ channel = "sms", upstream = "main" }]\n'
    rest = '[[route]]\nsteps = [{ channel = "mip", upstream = "main" }]\n'
    taken = own.replace("match = {}", 'match = { app = ["web"] }')
    some = own.replace("match = {}", 'match = { app = ["web"], country = ["IN"] }')
    policy.parse(app + UPSTREAM + more + taken + rest)
    (found,) = refused(app + UPSTREAM + more + some + rest)
    assert found.startswith("route[1].steps[0]: mip of main cannot say amount and payee for app web")


def test_an_app_without_sms_needs_no_short_payments() -> None:
    """RCS and calls have room for amount and payee in every language."""
    paying = GOOD.replace('brand = "Acme"', 'brand = "Acme"\nbinding = "in_message"')
    assert any("the SMS in ar of app web" in each for each in warned(paying))
    route = '[[route]]\nmatch = { app = ["web"] }\nsteps = [{ channel = "rcs", upstream = "main" }]\n'
    rcs = f'rcs = {{ sender = "a" }}\n{route}'
    assert not any("of app web" in each for each in warned(paying.replace("[[route]]", f"{rcs}[[route]]", 1)))


def test_the_longest_payment_is_judged() -> None:
    """With an amount and a payee of 40 characters, in its own texts and in the built-in ones."""
    paying = GOOD.replace('brand = "Acme"', 'brand = "Acme"\nbinding = "in_message"')
    own = '[template.payment]\npl = "{code} {payee} {amount} 0800 1234"\n'
    found = warned(paying.replace('wait = "30s"', 'wait = "30s", lines = "off"') + own)
    assert "template.payment.pl: phones may fill in 0800 1234 instead of the code (line 16)" in found
    assert {each.split()[4] for each in found if each.startswith("app.web.binding: the SMS in")} == {
        "ar",
        "hi",
    }
    (one,) = [
        each
        for each in warned(
            paying + own.replace("0800 1234", "confirms this payment to the person or shop above")
        )
        if "template.payment.pl" in each
    ]
    assert "the SMS in pl of app web needs 2 parts" in one


def test_an_app_for_payments_may_use_texts() -> None:
    """Its SMS say amount and payee."""
    read = policy.parse(GOOD.replace('brand = "Acme"', 'brand = "Acme"\nbinding = "in_message"'))
    assert read.apps["web"].binding == "in_message"


# Limits.


@pytest.mark.parametrize(
    ("own", "found"), [(7, []), (8, ["app.web.guard.prefix"]), (400, ["app.web.guard.prefix"])]
)
def test_a_budget_has_at_most_eight_limits(own: int, found: list[str]) -> None:
    """Each is a sum at every send. An app's lists count together with those that it takes over: here one."""
    limits = ", ".join(f'"{at + 1}/h"' for at in range(own))
    text = GOOD + f"[app.web.guard.prefix]\nrefuse = [{limits}]\n"
    problems = refused(text) if found else policy.parse(text).warnings
    assert [problem.partition(":")[0] for problem in problems] == found
    assert all("must have at most 8 limits in all" in problem for problem in problems)


def test_a_common_budget_has_at_most_eight_limits() -> None:
    """Over all of its levels."""
    text = GOOD + '[guard.app]\nhuman_check = ["1/h", "2/h", "3/h"]\ncheap = ["4/h", "5/h", "6/h"]\n'
    assert policy.parse(text + 'refuse = ["7/h", "8/h"]\n').warnings == ()
    assert [problem.partition(":")[0] for problem in refused(text + 'refuse = ["7/h", "8/h", "9/h"]\n')] == [
        "guard.app"
    ]


# Operators.


@pytest.mark.parametrize(
    ("apps", "problem"),
    [
        ('["web", "shop"]', "operator.ben.apps[1]: there is no app shop (line 17)"),
        ("[]", "operator.ben.apps: must not be empty (line 17)"),
        ('"web"', "operator.ben.apps: not a valid list (line 17)"),
    ],
)
def test_a_limit_of_an_operator_names_apps(apps: str, problem: str) -> None:
    """An empty list would read as no app, and mean all."""
    [found] = refused(f"{GOOD}[operator.ben]\napps = {apps}\n")
    assert re.sub(r"line [0-9]+", "line 17", found) == problem


def test_an_operator_needs_no_key_in_the_policy() -> None:
    """Keys are issued to its name; it has the role of an admin, and no limit."""
    ben = policy.parse(f"{GOOD}[operator.ben]\n").operators["ben"]
    assert (ben.keys, ben.role, ben.apps) == ((), "admin", ())

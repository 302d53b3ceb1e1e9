"""Splits: who gets the other order of a route's steps, and which splits are refused."""

from random import Random

import pytest

from otp_service import phone, policy
from otp_service.challenge.model import Plan
from otp_service.errors import ConfigurationError
from otp_service.policy import Policy, Route, Split, StepRule

INDIAN = phone.parse("+919876543210")
SMS, SPARE_SMS, WHATSAPP = (
    StepRule(channel=channel, upstreams=(account,), wait=30)
    for channel, account in (("sms", "main"), ("sms", "spare"), ("whatsapp", "main"))
)
SPLIT = Split(share=0.25, order=("whatsapp", "sms"))
TEXT = """guard.countries.allow = ["*"]
[app.web]
brand = "Acme"
secret_keys = ["{key}"]
[upstream.main]
kind = "mobtexting"
base_url = "https://portal.example/api/v2/"
token_env = "OTP_UPSTREAM_MAIN_TOKEN"
sms = {{ service = "T", sender = "ACMEIN", entity_id = "1", template_id = "1" }}
whatsapp = {{ sender = "1", template = "otp" }}
[[route]]
split = {split}
steps = [
  {{ channel = "sms", upstream = "main", wait = "{sms}" }},
  {{ channel = "whatsapp", upstream = "main", wait = "{whatsapp}" }},
]
"""


def written(split: str, *, sms: str = "30s", whatsapp: str = "30s") -> str:
    """Write a policy whose route has a split, in line 12."""
    return TEXT.format(key="ab" * 32, split=split, sms=sms, whatsapp=whatsapp)


def plan(route: Route, drawn: float, channel: str | None = None) -> Plan:
    """Plan a login with a dice that shows `drawn`."""
    rules = Policy(apps={}, upstreams={}, routes=(route,))
    return rules.plan(
        INDIAN, "web", "login", channel, dice=lambda: drawn, learned=lambda _channel, _country: None
    )


def test_the_draw_decides_between_the_orders() -> None:
    """Below the share it is the other order, from the share on the written one; steps of a channel stay in order."""
    route = Route(steps=(SMS, SPARE_SMS, WHATSAPP), split=SPLIT)
    other, first = plan(route, 0.2499), plan(route, 0.25)
    assert [(step.channel, step.upstreams) for step in other.steps] == [
        ("whatsapp", ("main",)),
        ("sms", ("main",)),
        ("sms", ("spare",)),
    ]
    assert [step.channel for step in first.steps] == ["sms", "sms", "whatsapp"]
    assert (other.arm[8:], first.arm[8:]) == (".split", ".steps")
    assert other.arm[:8] == first.arm[:8]


def test_nothing_is_drawn_for_a_person_who_chose() -> None:
    """Their order is their own, so they belong to no arm."""
    chosen = plan(Route(steps=(SMS, WHATSAPP), split=SPLIT), 0.0, channel="sms")
    assert ([step.channel for step in chosen.steps], chosen.arm) == (["sms", "whatsapp"], "")
    assert plan(Route(steps=(SMS, WHATSAPP)), 0.0).arm == ""


def test_about_the_share_gets_the_other_order() -> None:
    """Of 4,000 draws, the number is within five standard deviations of the share."""
    dice = Random(7).random
    drawn = [SPLIT.draw((SMS, WHATSAPP), dice)[1].endswith(".split") for _ in range(4000)]
    assert abs(sum(drawn) - 1000) < 5 * (4000 * 0.25 * 0.75) ** 0.5


@pytest.mark.parametrize(
    ("split", "steps"),
    [
        (Split(share=0.3, order=("whatsapp", "sms")), (SMS, WHATSAPP)),
        (SPLIT, (SPARE_SMS, WHATSAPP)),
        (SPLIT, (WHATSAPP, SMS)),
    ],
)
def test_another_form_of_a_split_has_arms_of_its_own(split: Split, steps: tuple[StepRule, ...]) -> None:
    """Figures of two shares or two sets of steps must not be added up: they are of other days, or other messages."""
    assert split.arm(steps, "split") != SPLIT.arm((SMS, WHATSAPP), "split")
    assert SPLIT.arm((SMS, WHATSAPP), "split") == SPLIT.arm((SMS, WHATSAPP), "split")


def test_a_split_is_read_from_the_document() -> None:
    """It stands beside the steps."""
    read = policy.parse(written('{ share = 0.25, order = ["whatsapp", "sms"] }'))
    assert read.routes[0].split == SPLIT


@pytest.mark.parametrize(
    ("split", "problem"),
    [
        (
            '{ share = 0.1, order = ["whatsapp"] }',
            "order: must name each channel of the steps once: sms, whatsapp",
        ),
        (
            '{ share = 0.1, order = ["whatsapp", "sms", "sms"] }',
            "order: must name each channel of the steps once: sms, whatsapp",
        ),
        (
            '{ share = 0.1, order = ["voice", "sms"] }',
            "order: must name each channel of the steps once: sms, whatsapp",
        ),
        (
            '{ share = 0.1, order = ["sms", "whatsapp"] }',
            "order: is the order of the steps, so nothing would be compared",
        ),
        ('{ share = 1, order = ["whatsapp", "sms"] }', "share: must be from 0.01 to 0.99"),
        (
            '{ share = 0.5, order = ["fax", "sms"] }',
            "order[0]: must be one of sms, whatsapp, voice, rcs, mip",
        ),
        ('{ order = ["whatsapp", "sms"] }', "share: missing data for required field"),
        ("{ share = 0.5 }", "order: missing data for required field"),
    ],
)
def test_a_split_that_compares_nothing_is_refused(split: str, problem: str) -> None:
    """The place, the rule and the line are told."""
    with pytest.raises(ConfigurationError) as caught:
        policy.parse(written(split))
    assert caught.value.problems == [f"policy: route[0].split.{problem} (line 12)"]


def test_the_waits_of_the_other_order_must_leave_time_for_its_last_step() -> None:
    """In the written order the long wait is the last, which delays nothing; in the other order it comes first."""
    with pytest.raises(ConfigurationError) as caught:
        policy.parse(
            written('{ share = 0.1, order = ["whatsapp", "sms"] }', sms="200s", whatsapp="299s")
            .replace("[[route]]", '[challenge]\nttl = "300s"\n[[route]]')
            .replace(
                'upstream = "main", wait = "299s" },',
                'upstream = "main", wait = "99s" }, '
                '{ channel = "whatsapp", upstream = "main", wait = "250s" },',
            )
        )
    assert caught.value.problems == [
        "policy: route[0].split.order: the waits before its last step take 300 seconds or more (line 14)"
    ]

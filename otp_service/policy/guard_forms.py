"""The form of `[guard]` and of an app's own rules, as marshmallow schemas.

Pure. An app's rule contains only what differs from the common rule. Must not know what follows from a rule.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from marshmallow import fields, validate

from otp_service.durations import DAY, HOUR, MINUTE
from otp_service.phone import NETWORKS, TYPES
from otp_service.policy.fields import (
    ONE_LINE,
    Duration,
    Form,
    LimitIn,
    Named,
    between,
    check_country,
    check_url,
    one_of,
    some,
)
from otp_service.policy.limits import EVERYWHERE, LEVELS, Guard
from otp_service.upstream.channels import CHANNELS

_LEVEL = one_of(*LEVELS)


def _prices() -> Named:
    return Named(
        fields.Float(validate=validate.Range(0, 1_000, error="must be from 0 to 1000")), one_of(*CHANNELS)
    )


def _check_place(code: str) -> None:
    if code != EVERYWHERE and code not in NETWORKS:
        check_country(code)


class _Changes(Form):
    """A table whose value is the changes that it makes to a rule."""

    shape = dict
    mode = fields.String(validate=one_of("enforce", "watch", "off"))


class _CountriesForm(_Changes):
    allow = some(fields.String(validate=_check_place))


class _TypesForm(_Changes):
    refuse = fields.List(fields.String(validate=one_of(*sorted(TYPES))))


class _CooldownForm(_Changes):
    ladder = some(Duration(validate=between(1, HOUR, " seconds")))
    forget = Duration(validate=between(1, DAY, " seconds"))


class _BudgetForm(_Changes):
    human_check = fields.List(LimitIn())
    cheap = fields.List(LimitIn())
    refuse = fields.List(LimitIn())
    hold = Duration(validate=between(0, DAY, " seconds"))


class _TrickleForm(_BudgetForm):
    trickle = fields.List(LimitIn(), validate=validate.Length(max=1, error="must have at most one limit"))


class _ReservedForm(_BudgetForm):
    reserved = fields.Float(validate=validate.Range(0, 0.9, error="must be from 0 to 0.9"))


class _CountryForm(_TrickleForm, _ReservedForm):
    pass


class _UnprovenForm(_TrickleForm):
    ratio = fields.Float(validate=validate.Range(0, 100, error="must be from 0 to 100"))


class _ConsecutiveForm(_Changes):
    most = fields.Integer(strict=True, validate=between(10, 100))
    step = Duration(validate=between(0, HOUR, " seconds"))
    longest = Duration(validate=between(0, HOUR, " seconds"))


class _StandingForm(_Changes):
    unverified = fields.Integer(strict=True, validate=between(1, 100))


class _MoneyForm(_BudgetForm):
    prices = _prices()
    country_prices = Named(_prices(), check_country)


class _GuessingForm(_BudgetForm):
    code_length = fields.Integer(strict=True, validate=between(6, 10))


class _ConversionForm(_Changes):
    share = fields.Float(validate=validate.Range(0.01, 0.99, error="must be from 0.01 to 0.99"))
    sends = fields.Integer(strict=True, validate=between(1, 1_000_000))
    probes = fields.Integer(strict=True, validate=between(1, 1_000_000))
    within = Duration(validate=between(MINUTE, DAY, " seconds"))
    grace = Duration(validate=between(0, 10 * MINUTE, " seconds"))
    hold = Duration(validate=between(1, DAY, " seconds"))
    longest = Duration(validate=between(1, DAY, " seconds"))
    country = fields.String(validate=_LEVEL)
    prefix = fields.String(validate=_LEVEL)


class _RecycledForm(_Changes):
    then = fields.String(validate=_LEVEL)
    purposes = fields.List(fields.String())


class _HumanCheckForm(Form):
    shape = dict
    kind = fields.String(validate=one_of("altcha", "siteverify"))
    url = fields.Url(schemes={"https", "http"}, require_tld=False, validate=check_url)
    site_key = fields.String(validate=ONE_LINE)


FORMS: Mapping[str, Form] = {
    "countries": _CountriesForm(),
    "number_types": _TypesForm(),
    "cooldown": _CooldownForm(),
    "money": _MoneyForm(),
    "guessing": _GuessingForm(),
    "conversion": _ConversionForm(),
    "suppression": _Changes(),
    "recycled": _RecycledForm(),
    "human_check": _HumanCheckForm(),
    "country": _CountryForm(),
    "unproven": _UnprovenForm(),
    "consecutive": _ConsecutiveForm(),
    "standing": _StandingForm(),
    **dict.fromkeys(("address", "session"), _BudgetForm()),
    **dict.fromkeys(("app", "everything"), _ReservedForm()),
    **dict.fromkeys(("prefix", "failures", "number"), _TrickleForm()),
}
"""The form of each table in `[guard]`."""


class _GuardForm(Form):
    shape = dict
    cheap_channels = fields.List(fields.String(validate=one_of(*CHANNELS)))

    def __init__(self) -> None:
        super().__init__()
        self.declared_fields |= {name: fields.Raw() for name in FORMS}
        self._init_fields()


GUARD = _GuardForm()
"""The form of `[guard]`, without the content of its tables."""


def changed(base: Guard, changes: Mapping[str, Any], app: str = "") -> Guard:
    """Return the rules with changes applied. A rule that an app changes is the app's own."""
    rules = base.rules()
    return replace(
        base,
        **{
            name: replace(getattr(base, name), **change, **({"of": app} if name in rules else {}))
            if name in FORMS
            else change
            for name, change in changes.items()
        },
    )

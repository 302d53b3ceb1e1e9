"""How a challenge is written to the store and read back: flat JSON with short names, without empty or default values.

Knows the names of the fields, which scripts read, too. Must not know keys of the store or how scripts run. A pending
challenge may use one KiB of memory in all. The time of the first delivery is when the challenge was opened. A state is
written only when it is final.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from otp_service.challenge.model import Answer, Challenge, Delivery, Plan, Proof, State, Status, Step

_TEXTS = ("locale", "app_hash", "host", "reference", "known", "review")
_DEFAULTS = {"purpose": "login", "policy": 0, "watched": False, "set_by": "page"}


def write(challenge: Challenge) -> str:
    """Write a challenge. `open.lua` adds its times."""
    plan = challenge.plan
    record: dict[str, Any] = {
        "app": challenge.app,
        "sealed": challenge.sealed,
        "scheme": challenge.scheme,
        "steps": [_step_record(step) for step in plan.steps],
        "digits": plan.code_length,
        "guesses": plan.max_attempts,
        "sends": plan.max_sends,
        "cooldown": plan.cooldown,
        "deliveries": [write_delivery(delivery) for delivery in challenge.deliveries],
    }
    record |= {name: value for name in _TEXTS if (value := getattr(challenge, name))}
    record |= {
        name: value for name, default in _DEFAULTS.items() if (value := getattr(challenge, name)) != default
    }
    record |= {
        name: value for name, default in _PLAN_DEFAULTS.items() if (value := getattr(plan, name)) != default
    }
    return json.dumps(record, ensure_ascii=False, separators=(",", ":"))


_PLAN_DEFAULTS = {"live_codes": 4, "after_choice": "continue", "route": "", "arm": ""}


_SURE_PARTS = 3
_STEP_DEFAULTS = ("delivered", "", "on")
"""The parts of a step that are left out at its end: until, condition, lines."""


def _step_record(step: Step) -> list[Any]:
    whole = [step.channel, " ".join(step.upstreams), step.wait, step.until, step.condition, step.lines]
    while len(whole) > _SURE_PARTS and whole[-1] == _STEP_DEFAULTS[len(whole) - _SURE_PARTS - 1]:
        whole.pop()
    return whole


def _step(record: Sequence[Any]) -> Step:
    channel, upstreams, *rest = record
    return Step(channel, tuple(upstreams.split()), *rest)


def write_delivery(delivery: Delivery) -> dict[str, Any]:
    """Write a delivery that was not sent yet."""
    record: dict[str, Any] = {
        "step": delivery.step,
        "status": delivery.status,
        "at": delivery.at,
        "req": delivery.request_id,
    }
    if delivery.operation:
        record["op"] = delivery.operation
    if delivery.only:
        record["only"] = " ".join(delivery.only)
    return record | {name: True for name in ("chosen", "automatic") if getattr(delivery, name)}


def read(id_: str, stored: str) -> Challenge:
    """Read a challenge from its record."""
    record: Mapping[str, Any] = json.loads(stored)
    steps = tuple(map(_step, record["steps"]))
    plan = Plan(
        steps,
        record["digits"],
        round((record["expires"] - record["deliveries"][0]["at"]) / 1000),
        record["guesses"],
        record["sends"],
        tuple(record["cooldown"]),
        **{name: record.get(name, default) for name, default in _PLAN_DEFAULTS.items()},
    )
    return Challenge(
        id=id_,
        app=record["app"],
        sealed=record["sealed"],
        scheme=record["scheme"],
        state=State(record.get("state", State.PENDING)),
        expires=record["expires"],
        plan=plan,
        deliveries=tuple(_delivery(one, steps) for one in record["deliveries"]),
        attempts=len(record.get("attempts", ())),
        via=record.get("via"),
        told=tuple(record.get("told", ())),
        answers=tuple(_answers(record.get("asked", {}))),
        proof=_proof(record),
        owed=record.get("owed"),
        **{name: record.get(name, "") for name in _TEXTS},
        **{name: record.get(name, default) for name, default in _DEFAULTS.items()},
    )


def _answers(asked: Mapping[str, Any]) -> Iterator[Answer]:
    for name, guess in asked.items():
        if "left" in guess:
            yield Answer(name, guess["left"], guess["hash"])


def _proof(record: Mapping[str, Any]) -> Proof | None:
    proof = record.get("proof")
    return Proof(record["op"], proof["kid"], proof["ends"]) if proof else None


def _delivery(record: Mapping[str, Any], steps: Sequence[Step]) -> Delivery:
    upstreams = steps[record["step"]].upstreams
    sole = upstreams[0] if len(upstreams) == 1 else ""
    return Delivery(
        step=record["step"],
        channel=steps[record["step"]].channel,
        status=Status(record["status"]),
        at=record["at"],
        operation=record.get("op", ""),
        request_id=record["req"],
        chosen=record.get("chosen", False),
        automatic=record.get("automatic", False),
        upstream=record.get("up") or (sole if "ref" in record else ""),
        tried=tuple(record.get("tried", ())),
        ends=record.get("ends"),
        reference=record.get("ref", ""),
        code_hash=record.get("hash", ""),
        reason=record.get("reason", ""),
        upstream_id=record.get("uid", ""),
        deferrals=record.get("deferrals", 0),
        only=tuple(record.get("only", "").split()),
    )

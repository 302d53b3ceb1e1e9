"""The guard's blocks on a real server: what they tell, how they are lifted, and that their number is bounded."""

import json

from otp_service.durations import HOUR, MINUTE
from otp_service.guard.limiter import Allowance
from otp_service.guard.rules import after_failure, after_sending
from tests.support.counters import ADDRESS, KEEP, NUMBER, SMALL, Counters, asked, only, passes
from tests.support.valkey_server import ValkeyServer


def test_a_block_shows_its_rule_subject_limit_and_times(counters: Counters) -> None:
    """Rule, subject, value and limit, start and end, and how many sends it refused."""
    rules = only({"number": {"refuse": ["2/10m", "3/h"]}})
    assert passes(counters.charge(rules, asked()))
    assert passes(counters.charge(rules, asked()))
    first = counters.charge(rules, asked())
    counters.scripts.offset += 60_000
    last = counters.charge(rules, asked())
    block = counters.block("number")
    assert (block.subject, block.level, block.on, block.refused) == (NUMBER, "refuse", True, 2)
    assert (block.value, block.limit, block.seconds) == (2, 2, 600)
    assert (block.since, block.until) == (first.now, last.now + last.deciding.pause)
    assert counters.blocks.read(block.id) == block
    assert counters.lives()["number"] > KEEP
    counters.scripts.offset += HOUR * 1000 + KEEP
    assert all(passes(counters.charge(rules, asked())) for _ in range(2))
    again = counters.charge(rules, asked())
    block = counters.block("number")
    assert (block.since, block.refused) == (again.now, 1)


def test_only_refused_sends_are_counted_as_refused(counters: Counters) -> None:
    """A send that passes with a human check, or a rule that only watches, is not counted as refused."""
    rules = only({"address": {"human_check": ["1/h"]}, "number": {"mode": "watch", "refuse": ["1/h"]}})
    counters.charge(rules, asked())
    counters.charge(rules, asked())
    assert passes(counters.charge(rules, asked(), allowance=Allowance(proof="p")))
    assert (counters.block("address").refused, counters.block("number").refused) == (1, 0)
    assert [block.rule for block in counters.blocks.longest(1)] in (["address"], ["number"])
    assert len(counters.blocks.longest()) == 2


def test_a_block_shows_its_current_state(counters: Counters) -> None:
    """Its value stays the same during a hold; its end follows what the rule requires now."""
    rules = only(
        {"number": {"human_check": ["1/h"], "refuse": ["2/m"]}, "address": {"refuse": ["2/m"], "hold": "1h"}}
    )
    for n in range(3):
        counters.charge(rules, asked(), allowance=Allowance(proof=f"{n}"))
    held = counters.charge(rules, asked())
    block = counters.block("address")
    assert (block.value, block.limit, block.seconds) == (2, 2, 60)
    assert block.until == held.now + HOUR * 1000 - (held.now - block.since)
    asking = counters.block("number")
    assert (asking.level, asking.until - held.now <= 67_000) == ("refuse", True)


def test_one_refusal_counts_once_however_many_windows_are_full(counters: Counters) -> None:
    """The block shows the strictest and longest of them."""
    rules = only({"address": {"human_check": ["1/10m"], "refuse": ["1/h", "1/m"]}})
    counters.charge(rules, asked())
    counters.charge(rules, asked())
    block = counters.block("address")
    assert (block.refused, block.level, block.seconds) == (1, "refuse", 3600)
    assert block.until - block.since > HOUR * 1000


def test_no_number_address_or_session_is_stored_in_clear(counters: Counters) -> None:
    """In counters, blocks, pins and lists (invariant 9). A block's subject is sealed for its counter."""
    names = ("address", "session", "number", "prefix", "failures")
    rules = only(dict.fromkeys(names, SMALL) | {"cooldown": {}, "conversion": {"sends": 1}})
    who = asked(session="the-session", known="session")
    counters.pins.write(counters.pin_of_number(NUMBER), {"what": "allow", "until": 1})
    counters.history.record_recycled([NUMBER], 1, 60)
    for _ in range(2):
        counters.charge(rules, who)
        counters.limiter.count(after_failure(rules, who))
        counters.limiter.count(after_sending(rules, who, counters.preview(rules, who).now, 0))
    counters.scripts.offset += 3 * MINUTE * 1000
    counters.charge(rules, who)
    stored = json.dumps(counters.stored())
    found = {block.rule: block.subject for block in counters.blocks.longest()}
    assert found["number"] == f"{NUMBER} session"
    assert found["address"] == f"{ADDRESS} session"
    assert found["session"] == "web the-session"
    assert found["prefix"] == f"{NUMBER[:-4]} session"
    for secret in (NUMBER[1:], NUMBER[:-4], NUMBER[2:-4], ADDRESS, "the-session"):
        assert secret not in stored


def test_a_lifted_block_lets_the_next_send_in(counters: Counters) -> None:
    """Its counter is removed too; what other rules counted for the number stays."""
    rules = only({"number": {"refuse": ["1/h"], "hold": "1d"}, "cooldown": {"ladder": ["2m"]}})
    assert passes(counters.charge(rules, asked()))
    assert not passes(counters.charge(rules, asked()))
    id_ = counters.block("number").id
    assert counters.blocks.lift(id_)
    assert not counters.blocks.lift(id_)
    assert counters.blocks.read(id_) is None
    assert counters.charge(rules, asked()).deciding.rule == "cooldown"
    counters.scripts.offset += 120_001
    assert passes(counters.charge(rules, asked()))


def test_an_unknown_rule_has_no_block(counters: Counters) -> None:
    """An operator may mistype an id."""
    assert not counters.blocks.lift("nothing:number:index")


def test_the_number_of_blocks_is_bounded(valkey: ValkeyServer, counters: Counters) -> None:
    """A crowd of blocked numbers does not fill the store: the 10,000 that last longest are listed."""
    rules = only({"number": {"refuse": ["1/d"]}})
    counters.charge(rules, asked())
    now = counters.charge(rules, asked()).now
    index = f"{{{counters.prefix}:guard}}:blocks"
    with valkey.client() as client:
        client.zadd(index, {"number:number:old": now - KEEP - 1})
        counters.charge(rules, asked())
        assert client.zscore(index, "number:number:old") is None
        client.zadd(index, {f"number:number:{n}": now + n for n in range(12_000)})
        counters.charge(rules, asked())
        assert client.zcard(index) == 10_000
        assert client.zscore(index, counters.block("number").id) is not None

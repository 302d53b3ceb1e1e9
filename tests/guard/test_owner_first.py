"""What keeps a stranger from using up what an owner needs, on a real server: trickles, proven messages, streaks."""

import secrets
from collections.abc import Callable
from dataclasses import replace

import pytest

from otp_service.crypto.sealing import Seal
from otp_service.durations import DAY, HOUR, MINUTE
from otp_service.guard.decision import Decision
from otp_service.guard.limiter import Allowance, Limiter
from otp_service.guard.lines import STREAK_KEPT
from otp_service.guard.rules import (
    FAMILIARITY,
    GuardedSend,
    Known,
    after_failure,
    after_success,
    lines_of_fallback,
    lines_of_send,
)
from otp_service.guard.slot import CHARGED
from otp_service.policy import Guard
from tests.support.counters import KEEP, NO_PINS, NUMBER, Counters, asked, only, passes
from tests.support.valkey_server import ValkeyServer

HERE, NEAR, THERE, FAR = "192.0.2.1", "192.0.2.99", "198.51.100.1", "2001:db8:7:1::1"
"""Three networks: HERE and NEAR share a /24."""
TRICKLE = {"refuse": ["2/h"], "trickle": ["1/10m"]}


def solving(counters: Counters, rules: Guard, send: GuardedSend, operation: str = "") -> Decision:
    """Send as one who solves any check."""
    proof = secrets.token_hex(4)
    return counters.charge(rules, send, operation, Allowance(proof=proof, call=operation))


def later(counters: Counters, seconds: float) -> None:
    """Let time pass."""
    counters.scripts.offset += int(seconds * 1000)


@pytest.mark.parametrize("rule", ["number", "failures"])
def test_who_fills_a_numbers_window_leaves_a_way_in_for_other_networks(counters: Counters, rule: str) -> None:
    """One at a time, for a solved check, and not for a network that had a message today."""
    rules = only({"number": TRICKLE, rule: TRICKLE})
    for address in (HERE, NEAR):
        assert passes(counters.charge(rules, asked(address=address)))
        counters.limiter.count(after_failure(rules, asked()))
    full = solving(counters, rules, asked(address=NEAR))
    assert full.verdict == "refuse"
    assert full.deciding.pause > 50 * MINUTE * 1000
    assert counters.charge(rules, asked(address=THERE)).verdict == "human_check"
    assert counters.charge(rules, asked(address=THERE)).over == 1
    assert passes(solving(counters, rules, asked(address=THERE)))
    assert solving(counters, rules, asked(address=THERE)).verdict == "refuse"
    closed = solving(counters, rules, asked(address=FAR))
    assert closed.verdict == "refuse"
    assert 9 * MINUTE * 1000 < closed.deciding.pause <= 11 * MINUTE * 1000
    later(counters, closed.deciding.pause / 1000)
    assert passes(solving(counters, rules, asked(address=FAR)))


def test_a_short_refusal_leaves_no_way_in(counters: Counters) -> None:
    """Its window is over before the next message would leave beyond it."""
    rules = only({"number": {"refuse": ["2/10m"], "trickle": ["1/45m"]}})
    for _ in range(2):
        assert passes(counters.charge(rules, asked(address=HERE)))
    assert solving(counters, rules, asked(address=THERE)).verdict == "refuse"


def test_a_network_is_new_again_after_thirty_days(counters: Counters) -> None:
    """Until then it is one of those that fill the window, whoever else asks. Then its mark goes, too."""
    rules = only({"number": {"refuse": ["2/d"], "trickle": ["1/10m"]}})
    assert passes(counters.charge(rules, asked(address=HERE)))
    for _ in range(27):  # a day and the tenth part of one, until what was counted has left
        later(counters, 11 * DAY // 10)
        assert [passes(counters.charge(rules, asked(address=THERE))) for _ in range(2)] == [True, True]
        assert solving(counters, rules, asked(address=HERE)).verdict == "refuse"
    later(counters, 3 * DAY // 10)
    assert passes(solving(counters, rules, asked(address=HERE)))
    assert marks(counters) == 2


def marks(counters: Counters) -> int:
    """Count the networks that are remembered of a number, whose key lives for a day or two after the last message."""
    [fields] = [found for key, found in counters.stored().items() if ":number:" in key]
    assert DAY * 1000 < counters.lives()["number"] < 3 * DAY * 1000
    return sum(name.startswith("w") for name in fields)


def test_networks_do_not_pile_up(counters: Counters) -> None:
    """Those that are too old go, and of too many the one that was met first."""
    rules = only({"number": {"refuse": ["1000/d"], "trickle": ["1/10m"]}})
    for place in range(260):
        address = f"10.{place // 256}.{place % 256}.1"
        assert passes(counters.charge(rules, asked(address=address)))
    assert marks(counters) == 256
    later(counters, 31 * DAY)
    assert passes(counters.charge(rules, asked(address=HERE)))
    assert marks(counters) == 1


def test_a_network_whose_code_was_right_is_new(counters: Counters) -> None:
    """The owner verified: their own messages do not keep them out tomorrow."""
    rules = only({"number": TRICKLE})
    for _ in range(2):
        assert passes(counters.charge(rules, asked(address=HERE)))
    assert not passes(solving(counters, rules, asked(address=HERE)))
    counters.limiter.count(after_success(rules, asked(address=NEAR), [0]))
    assert passes(solving(counters, rules, asked(address=HERE)))


def test_a_caller_without_an_address_is_told_apart_by_its_session(counters: Counters) -> None:
    """A server names no network. Without a session there is one for all, which is always new."""
    for session, third in (("one", "refuse"), ("", "allow")):
        rules = only({"number": TRICKLE})
        known: Known = "session" if session else "server"
        who = asked(address=None, session=session, known=known)
        assert [solving(counters, rules, who).verdict for _ in range(3)] == ["allow", "allow", third]


def test_what_the_service_sends_by_itself_gets_no_trickle(counters: Counters) -> None:
    """It is for people who ask."""
    rules = only({"number": TRICKLE})
    lines = lines_of_fallback(rules, asked(address=FAR))
    trusted = Allowance(trusted=True)
    assert [counters.lined(lines, allowance=trusted).verdict for _ in range(3)] == [
        "allow",
        "allow",
        "refuse",
    ]
    assert counters.charge(rules, asked(address=FAR), allowance=trusted).verdict == "allow"


def test_a_refund_undoes_the_charge_of_the_last_call(counters: Counters, valkey: ValkeyServer) -> None:
    """Of two calls of one operation the later one may have opened the challenge: the earlier one takes nothing."""
    rules = only({"number": {"refuse": ["1/h"]}, "standing": {}})
    who = asked(known="device")
    earlier, later_one = Allowance(call="earlier"), Allowance(call="later")
    assert passes(counters.charge(rules, who, "one", earlier))
    [remembered] = [key for key in counters.stored() if ":o:" in key]
    with valkey.client() as client:
        client.pexpire(remembered, CHARGED // 2)
    assert passes(counters.charge(rules, who, "one", later_one))
    counters.limiter.refund(lines_of_send(rules, who), "one", earlier)
    assert not passes(counters.preview(rules, who))
    assert counters.history.read_past(NUMBER).unverified == 1
    assert CHARGED // 2 < counters.lives()["o"] <= CHARGED
    for _ in range(2):
        counters.limiter.refund(lines_of_send(rules, who), "one", later_one)
        assert passes(counters.preview(rules, who))
        assert counters.history.read_past(NUMBER).unverified == 0


def test_a_refund_gives_back_the_trickle_the_network_and_the_proof(counters: Counters) -> None:
    """The next try of the same request meets what the first one met."""
    rules = only({"number": TRICKLE})
    for _ in range(2):
        assert passes(counters.charge(rules, asked(address=HERE)))
    shown = Allowance(proof="shown", call="a")
    for call in ("earlier", "a"):
        assert passes(counters.charge(rules, asked(address=THERE), "one", replace(shown, call=call)))
    counters.limiter.refund(lines_of_send(rules, asked(address=THERE)), "one", shown)
    assert passes(counters.charge(rules, asked(address=THERE), "two", shown))
    assert counters.charge(rules, asked(address=FAR), "three", shown).verdict == "refuse"


def test_a_refund_leaves_a_network_met_that_was_met_before(counters: Counters) -> None:
    """Only the mark of its own charge is undone."""
    rules = only({"number": TRICKLE})
    assert passes(counters.charge(rules, asked(address=HERE)))
    later(counters, 1)
    assert passes(counters.charge(rules, asked(address=HERE), "two", Allowance(call="b")))
    counters.limiter.refund(lines_of_send(rules, asked(address=HERE)), "two", Allowance(call="b"))
    for _ in range(2):
        counters.charge(rules, asked(address=THERE))
    assert solving(counters, rules, asked(address=HERE)).verdict == "refuse"
    assert passes(solving(counters, rules, asked(address=FAR)))


def test_a_refund_gives_a_network_back_to_all_rules_that_know_it(counters: Counters) -> None:
    """The marks of networks are shared by the rules of a number; a later message of the network is not undone."""
    rules = only({"number": TRICKLE, "failures": TRICKLE})
    for _ in range(2):
        assert passes(counters.charge(rules, asked(address=HERE)))
    first, lines = Allowance(call="a", proof="p"), lines_of_send(rules, asked(address=THERE))
    assert passes(counters.charge(rules, asked(address=THERE), "one", first))
    counters.limiter.refund(lines, "one", first)
    assert passes(counters.charge(rules, asked(address=THERE), "two", first))
    later(counters, 12 * MINUTE)
    trusted = Allowance(trusted=True)
    other = only({"number": {"refuse": ["9/h"], "trickle": ["1/10m"]}})
    assert passes(counters.charge(other, asked(address=FAR), "three", Allowance(call="c")))
    later(counters, 1)
    assert passes(counters.charge(other, asked(address=FAR), allowance=trusted))
    counters.limiter.refund(lines_of_send(other, asked(address=FAR)), "three", Allowance(call="c"))
    assert counters.charge(rules, asked(address=FAR), allowance=trusted).verdict == "refuse"


def test_the_mark_of_a_network_outlives_a_short_window(counters: Counters) -> None:
    """And a rule's hold counts for the network that is met, as for any refusal."""
    rules = only({"number": {**TRICKLE, "hold": "3h"}})
    for _ in range(2):
        assert passes(counters.charge(rules, asked(address=HERE)))
    assert DAY * 1000 - MINUTE * 1000 < counters.lives()["number"] <= DAY * 1000
    assert solving(counters, rules, asked(address=HERE)).deciding.pause == 3 * HOUR * 1000


def test_a_refund_leaves_the_pause_that_a_later_send_began(counters: Counters) -> None:
    """Two sends pass a ladder; the first is refunded: the pause is still that of the second."""
    rules = only({"cooldown": {"ladder": ["30s"]}})
    assert passes(counters.charge(rules, asked(), "one", Allowance(call="a")))
    later(counters, 31)
    assert passes(counters.charge(rules, asked()))
    later(counters, 5)
    counters.limiter.refund(lines_of_send(rules, asked()), "one", Allowance(call="a"))
    assert not passes(counters.charge(rules, asked()))
    later(counters, 26)
    assert passes(counters.charge(rules, asked()))


@pytest.mark.parametrize("rule", ["prefix", "unproven"])
def test_a_message_that_was_verified_makes_room(counters: Counters, rule: str) -> None:
    """As many as its challenge had, at the time they were counted, and never more."""
    rules = only({rule: {"refuse": ["3/h", "30/d"]}})
    sent = [counters.charge(rules, asked()).now]
    later(counters, 10 * MINUTE)
    sent += [counters.charge(rules, asked()).now for _ in range(2)]
    assert not passes(counters.charge(rules, asked()))
    counters.limiter.count(after_success(rules, asked(), [sent[0] + 5, sent[1] + 5]))
    assert [passes(counters.charge(rules, asked())) for _ in range(3)] == [True, True, False]
    later(counters, 3 * HOUR)
    for _ in range(3):
        counters.limiter.count(after_success(rules, asked(), sent))
    found = [value for key, value in counters.stored().items() if f":{rule}:" in key]
    assert all(int(count) >= 0 for fields in found for name, count in fields.items() if "block" not in name)
    assert [passes(counters.charge(rules, asked())) for _ in range(4)] == [True, True, True, False]


def test_a_verified_message_counts_once_in_each_window(counters: Counters) -> None:
    """For the ratio, too: two unproven for each verified one, within the window."""
    rules = only({"unproven": {"refuse": ["1/h"], "human_check": ["9/h"], "ratio": 2}})
    counters.limiter.count(after_success(rules, asked(), [1, 2]))
    assert [passes(counters.charge(rules, asked())) for _ in range(3)] == [True, True, False]
    later(counters, 2 * HOUR)
    assert [passes(counters.charge(rules, asked())) for _ in range(2)] == [True, False]


CLOSED = {"most": 10, "step": "0s"}


def close(counters: Counters, rules: Guard, known: Known = "") -> None:
    """Type wrong codes until the kind of caller is closed."""
    for _ in range(10):
        assert passes(counters.preview(rules, asked(known=known)))
        counters.limiter.count(after_failure(rules, asked(known=known)))
        later(counters, 40 * DAY)
    assert not passes(counters.preview(rules, asked(known=known)))


def test_a_hundred_wrong_codes_in_a_row_close_one_kind_of_caller(counters: Counters) -> None:
    """However slowly they come (NIST SP 800-63B-4 3.2.2). Others, who are not closed, do not notice."""
    rules = only({"consecutive": CLOSED})
    close(counters, rules)
    assert STREAK_KEPT - MINUTE * 1000 < counters.lives()["streak"] <= STREAK_KEPT
    found = counters.charge(rules, asked()).deciding
    assert (found.rule, found.value, found.limit, found.pause) == ("consecutive", 10, 10, HOUR * 1000)
    assert 0 < counters.lives()["streak"] <= STREAK_KEPT + KEEP
    assert all(passes(counters.preview(rules, asked(known=known))) for known in FAMILIARITY if known)
    assert Guard().consecutive.most == 100


REOPENS: dict[str, Callable[[Counters, Guard], object]] = {
    "a right code of a device": lambda counters, rules: counters.limiter.count(
        after_success(rules, asked(known="device"), [0])
    ),
    "a right code of a session": lambda counters, rules: counters.limiter.count(
        after_success(rules, asked(known="returning"), [0])
    ),
    "a server that vouches": lambda counters, rules: counters.charge(rules, asked(known="vouched")),
    "an operator": lambda counters, rules: (
        counters.charge(rules, asked()),
        counters.blocks.lift(counters.block("consecutive").id),
    ),
    "its own right code": lambda counters, rules: counters.limiter.count(after_success(rules, asked(), [0])),
}


@pytest.mark.parametrize("who", REOPENS)
def test_a_closed_kind_is_reopened(counters: Counters, who: str) -> None:
    """By what shows that the owner is there, or by an operator; not by time."""
    rules = only({"consecutive": CLOSED})
    close(counters, rules)
    REOPENS[who](counters, rules)
    assert passes(counters.charge(rules, asked()))


def test_a_right_code_of_a_stranger_reopens_no_other_kind(counters: Counters) -> None:
    """A session that a server only names, or a stranger, forgives its own kind alone."""
    rules = only({"consecutive": CLOSED})
    close(counters, rules, "server")
    for known in ("", "session"):
        counters.limiter.count(after_success(rules, asked(known=known), [0]))
    assert not passes(counters.charge(rules, asked(known="server")))


def test_a_rotation_of_lookup_keys_forgives_no_wrong_code(counters: Counters) -> None:
    """Counters under older keys are added up, and move to the newest; a lift then forgets them all."""
    rules = only({"consecutive": CLOSED})
    ring = {"l2": secrets.token_bytes(32), "l1": secrets.token_bytes(32)}
    sealed = {"n1": secrets.token_bytes(32)}

    def limiter(*ids: str) -> Limiter:
        seal = Seal(sealed, {id_: ring[id_] for id_ in ids}, subject_key=b"s" * 32)
        return Limiter(counters.scripts, seal, prefix=counters.prefix, keep_blocks=KEEP)

    for one, times in ((limiter("l1"), 6), (limiter("l2", "l1"), 4)):
        for _ in range(times):
            one.count(after_failure(rules, asked()))
    lines = lines_of_send(rules, asked())
    assert limiter("l2").preview(lines, Allowance(), NO_PINS).verdict == "allow"
    assert limiter("l2", "l1").preview(lines, Allowance(), NO_PINS).verdict == "refuse"
    assert limiter("l2", "l1").charge(lines, "one", Allowance(), NO_PINS).verdict == "refuse"
    assert limiter("l2").preview(lines, Allowance(), NO_PINS).verdict == "refuse"
    assert limiter("l2", "l1").preview(lines, Allowance(), NO_PINS).findings[0].value == 10
    assert limiter("l1").preview(lines, Allowance(), NO_PINS).verdict == "allow"
    limiter("l2", "l1").count(after_success(rules, asked(), [0]))
    assert limiter("l2", "l1").preview(lines, Allowance(), NO_PINS).verdict == "allow"
    for _ in range(10):
        limiter("l1").count(after_failure(rules, asked()))
    limiter("l2", "l1").count(after_success(rules, asked(), [0]))
    assert limiter("l2", "l1").preview(lines, Allowance(), NO_PINS).verdict == "allow"


def test_a_pause_after_wrong_codes_outlives_a_rotation_of_lookup_keys(
    counters: Counters, valkey: ValkeyServer
) -> None:
    """It ends when it would have ended; what was moved expires, as what was written."""
    rules = only({"consecutive": {"most": 10, "step": "30s", "longest": "10m"}})
    ring = {"l2": secrets.token_bytes(32), "l1": secrets.token_bytes(32)}

    def limiter(*ids: str) -> Limiter:
        seal = Seal({"n1": b"n" * 32}, {id_: ring[id_] for id_ in ids}, subject_key=b"s" * 32)
        return Limiter(counters.scripts, seal, prefix=counters.prefix, keep_blocks=KEEP)

    for _ in range(2):
        limiter("l1").count(after_failure(rules, asked()))
    lines = lines_of_send(rules, asked())
    for seconds, keys, verdict in (
        (0, ("l2", "l1"), "refuse"),
        (35, ("l2",), "refuse"),
        (26, ("l2",), "allow"),
    ):
        later(counters, seconds)
        assert limiter(*keys).charge(lines, f"{seconds}", Allowance(), NO_PINS).verdict == verdict
    left = [key for key, fields in counters.stored().items() if ":streak:" in key and "kn" in fields]
    assert len(left) == 1
    with valkey.client() as client:
        assert STREAK_KEPT - HOUR * 1000 < client.pttl(left[0]) <= STREAK_KEPT


def test_a_right_code_ends_the_pauses_and_failures_of_its_kind(counters: Counters) -> None:
    """A new send of that number meets no past of its own; that of strangers stays."""
    rules = only({"cooldown": {"ladder": ["1h"]}, "failures": {"refuse": ["1/h"]}, "consecutive": {}})
    for known in ("", "device"):
        assert passes(counters.charge(rules, asked(known=known)))
        counters.limiter.count(after_failure(rules, asked(known=known)))
    found = {one.rule for one in counters.preview(rules, asked(known="device")).findings}
    assert found == {"cooldown", "failures", "consecutive"}
    counters.limiter.count(after_success(rules, asked(known="device"), [0]))
    assert counters.preview(rules, asked(known="device")).findings == ()
    assert {one.rule for one in counters.preview(rules, asked()).findings} == {"cooldown", "failures"}


def test_a_known_device_is_forgiven_its_unverified_sends_by_a_right_code(counters: Counters) -> None:
    """Whoever typed it: it was on the phone."""
    rules = only({"standing": {}})
    device = asked(known="device")
    for count in range(1, 4):
        counters.charge(rules, device)
        assert counters.history.read_past(NUMBER).unverified == count
    assert 0 < counters.lives()["number"] <= DAY * 1000
    counters.limiter.count(after_success(rules, asked(), [0]))
    assert counters.history.read_past(NUMBER).unverified == 0
    assert counters.preview(rules, replace(device, known="")).verdict == "allow"

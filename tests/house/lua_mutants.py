"""Breaks each check of each Lua script, one at a time, on a copy: a test must fail each time.

Run by hand or in CI: `python -m tests.house.lua_mutants [SCRIPT...]`. Ends with an error when a broken script
passes all tests, or when a change no longer fits the script it is meant for.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
TESTS = tuple(
    f"tests/{name}.py"
    for name in (
        "challenge/test_opening",
        "challenge/test_attempts",
        "challenge/test_repeated_guesses",
        "challenge/test_ending",
        "challenge/test_ended_deliveries",
        "challenge/test_too_late",
        "challenge/test_resending",
        "challenge/test_leases",
        "challenge/test_disarming",
        "challenge/test_left_to_do",
        "challenge/test_reports",
        "challenge/test_settling",
        "challenge/test_watched",
        "challenge/test_memory",
        "events/test_queue",
        "store/test_due",
        "store/test_facts",
        "store/test_layout",
        "delivery/test_expiry",
        "delivery/test_membership",
        "delivery/test_send_wait",
        "figures/test_counters",
        "figures/test_silence",
        "history/test_store",
        "history/test_stories",
        "delivery/test_worker_watch",
        "delivery/test_receipt_pull",
        "store/test_recent",
        "upstream/test_get_budget",
        "verification/test_review",
        "system/test_time_to_live",
        "upstream/test_breakers",
        "policy/test_versions",
        "policy/test_followers",
        "access/test_keyring",
        "access/test_sessions",
        "ops/test_audit_trail",
        "system/test_lost_replies",
        "system/test_model",
        "system/test_races",
    )
)
AT_ONCE = 2
CLEARED = "last.ref, last.hash, last.up, last.ends = nil, nil, nil, nil"
HANGS_AFTER = 600.0
"""Seconds after which a broken script has visibly broken the tests."""
SLOW = "a_kib"
"""A test that measures memory: it takes long and breaks with nothing that the others do not see."""


@dataclass(frozen=True)
class Mutant:
    """One change to one script."""

    script: str
    old: str
    new: str

    @property
    def name(self) -> str:
        """Say what is broken."""
        old, new = (" ".join(text.split()) for text in (self.old, self.new))
        return f"{self.script}: {old[:70]} -> {new[:50] or 'nothing'}"


OFFSET = (
    "-- include: now",
    'local time = redis.call("TIME")\nlocal now = time[1] * 1000 + math.floor(time[2] / 1000)',
)
"""Time that a script reads by itself is not moved."""
KEEPTTL = (', "KEEPTTL")', ")")

CHANGES: dict[str, list[tuple[str, str]]] = {
    "arm": [
        OFFSET,
        (" or challenge.lease ~= operation", ""),
        ("and last.ref == reference", ""),
        (" and now < challenge.expires", ""),
        ("now > challenge.expires - sending.least", "false"),
        ("now > challenge.expires - sending.least", "now >= challenge.expires"),
        ("id, true)", "id, false)"),
        ('last.only = only ~= "" and only or nil', ""),
        ('last.status ~= "claimed"', "false"),
        ('return {"armed", now}\nend\nif', 'return {"lost", now}\nend\nif'),
        ("live < 0", "false"),
        ("live < 0", "live < 1"),
        ("last.hash = sending.hash", ""),
        ('redis.call("ZADD", due_key, now + lease, id)', ""),
        KEEPTTL,
    ],
    "answer": [
        ("if not challenge then", "if false then"),
        ("one.op == operation", "true"),
        ("one.at = 0", ""),
        ('if what ~= "other" then', "if true then"),
        ('if what ~= "other" then', "if false then"),
        ('if what ~= "other" then', 'if what == "same" then'),
        ('guess.op == operation and what == "wrong"', 'what == "wrong"'),
        ('guess.op == operation and what == "unchecked"', 'what == "unchecked"'),
        ("guess.left, guess.hash = left, hash", "guess.left = left"),
        ("guess.unchecked = true", ""),
        ("if changed == 1 then", "if false then"),
        KEEPTTL,
    ],
    "attempt": [
        OFFSET,
        (" or challenge.app ~= plan.app", ""),
        ("not list or ", ""),
        ('string.find(list, "," .. id .. ",", 1, true)', "true"),
        ('string.find(list, "," .. id .. ",", 1, true)', "string.find(list, id, 1, true)"),
        ("    name = known\n", ""),
        ("challenge.proof.key == known", "false"),
        ("challenge.proof.key == known", "true"),
        ("now >= challenge.proof.ends", "false"),
        ("challenge.state or now >= challenge.expires", "now >= challenge.expires"),
        ("challenge.state or now >= challenge.expires", "challenge.state"),
        ("now >= challenge.expires", "now > challenge.expires"),
        ("if over and not won and", "if over and"),
        (" and not (before and before.left)", ""),
        ("before.device ~= plan.device or ", ""),
        (" or challenge.digits ~= plan.digits)", ")"),
        ("if challenge.digits ~= plan.digits then", "if false then"),
        ("holds(plan.schemes, challenge.scheme)", "true"),
        ("holds(plan.seals, seal)", "true"),
        ("if one.op == plan.op then", "if false then"),
        ("#repeats >= challenge.guesses", "#repeats > challenge.guesses"),
        ("#repeats >= challenge.guesses", "false"),
        ("math.max(newest, one.at)", "one.at"),
        ('now < newest + plan.lease and "running" or "reused"', '"reused"'),
        ('now < newest + plan.lease and "running" or "reused"', '"running"'),
        ("challenge.proof.repeats = repeats", ""),
        ("if again.op ~= plan.op then", "if true then"),
        ("again.n >= plan.repeats", "again.n > plan.repeats"),
        ("again.n >= plan.repeats", "again.n + 1 >= plan.repeats"),
        ("again.n >= plan.repeats", "false"),
        ("n = again.n + 1, ", "n = 1, "),
        ('return repeated("won")', 'return write("won")'),
        ('return repeated("wrong")', 'return write("wrong")'),
        ("if before and before.left then", "if false then"),
        ("if before and before.op == plan.op then", "if false then"),
        ("if known == plan.op then", "if false then"),
        ("if before and not before.unchecked and", "if before and"),
        ("now < before.at + plan.lease", "false"),
        ("now < before.at + plan.lease", "true"),
        ("if not (before and before.unchecked) then", "if true then"),
        ("#attempts >= challenge.guesses then\n    return", "#attempts > challenge.guesses then\n    return"),
        ("#attempts >= challenge.guesses then\n    return", "false then\n    return"),
        ("#attempts >= challenge.guesses then\n  for", "true then\n  for"),
        ("attempts[#attempts + 1] = plan.op", ""),
        ('delivery.status == "queued" or', ""),
        (' or delivery.status == "claimed"', ""),
        ("at = now, device", "at = 0, device"),
        (", device = plan.device}", "}"),
        ('redis.call("SET", challenge_key, stored, "KEEPTTL")', ""),
        KEEPTTL,
    ],
    "beat": [
        OFFSET,
        ('redis.call("ZREMRANGEBYSCORE", workers_key, "-inf", now)', ""),
        ('redis.call("PEXPIRE", workers_key, 2 * ttl)', ""),
        ("table.sort(names)", ""),
    ],
    "take_recent": [
        OFFSET,
        ('redis.call("ZSCORE", log_key, operation)', "false"),
        ('redis.call("ZREMRANGEBYSCORE", log_key, "-inf", now - window)', ""),
        ("now - window)", "now)"),
        (">= most", "> most"),
        (">= most", "> most + 9"),
        ('redis.call("ZRANGE", log_key, 0, 0, "WITHSCORES")[2] + window - now', "window"),
        (
            'redis.call("ZRANGE", log_key, 0, 0, "WITHSCORES")',
            'redis.call("ZRANGE", log_key, -1, -1, "WITHSCORES")',
        ),
        ('redis.call("ZADD", log_key, now, operation)', ""),
        ('redis.call("PEXPIRE", log_key, window)', ""),
    ],
    "claim": [
        OFFSET,
        (
            "not challenge or (challenge.state and not challenge.watched and not challenge.owed)",
            "not challenge",
        ),
        (" and not challenge.owed)", ")"),
        ('challenge.owed and "owed" or challenge.state', "challenge.state"),
        ("if challenge.owed or challenge.state then", "if challenge.state then"),
        ("now > challenge.expires - least", "false"),
        ("now > challenge.expires - least", "now >= challenge.expires"),
        ("not_left and now > challenge.expires - least", "now > challenge.expires - least"),
        ("not last.automatic or last.tried or last.deferrals or replaces", "true"),
        (" or replaces", ""),
        (" or last.deferrals", ""),
        ("if is_charged or not challenge.state then", "if false then"),
        ("challenge.op == operation", "false"),
        ("challenge.op == operation", "true"),
        ("score - band > now", "false"),
        ("score >= BAND and BAND or 0", "0"),
        ("challenge.lease == operation then", "false then"),
        ('last.status == "claimed" and "send" or "waited"', '"waited"'),
        ('last.status == "claimed" and "send" or "waited"', '"send"'),
        ("exhausted and now < challenge.expires", "false"),
        ('redis.call("ZADD", due_key, challenge.expires + BAND, id)', ""),
        ("challenge.expires + BAND", "challenge.expires"),
        ("now + lease + band", "now + lease"),
        ("if now >= challenge.expires", "if false"),
        ('if last.status == "sending" then\n    last.status = "unknown" -- its worker died', "if false then"),
        ('last.status = "unknown" -- its', "-- its"),
        ('if last.status == "sending" then\n    last.status', "do\n    last.status"),
        (' or last.status == "claimed"', ""),
        ('last.status = "claimed"', ""),
        ('last.status = "unknown"', ""),
        ("challenge.lease = operation\n", "\n"),
        ("now + lease, id", "now, id"),
        KEEPTTL,
    ],
    "write_stories": [
        ("size + #lines <= most", "true"),
        ('hour ~= "" and hour or UNKNOWN', "hour"),
        ("string.sub(story, HEAD + 1) .. lines", "lines"),
        ("begun == UNKNOWN and brief or life)", "life)"),
        ("added = size - HEAD + added", ""),
        ("if begun ~= UNKNOWN then", "if true then"),
        ('redis.call("PEXPIRE", bytes_key, life)', ""),
    ],
    "index_stories": [
        ("ARGV[2 * place + 1])", '"0")'),
        ('redis.call("PEXPIRE", bucket_key, life)', ""),
    ],
    "find_stories": [("string.sub(all[at], 1, #prefix) == prefix", "true")],
    "unindex_stories": [('redis.call("HDEL", bucket_key, ARGV[place])', "0")],
    "list_stories": [
        ("for at = 2, #ARGV do", "for at = 2, 2 do"),
        ('redis.call("PEXPIRE", list_key, life)', ""),
    ],
    "put_tokens": [
        ('ARGV[place + 1], "PX", ttl', "ARGV[place + 1]"),
        ("ARGV[place + 1]", "ARGV[2]"),
    ],
    "unlist_stories": [
        ('redis.call("LINDEX", list_key, 0) == id', "true"),
        ('redis.call("LPOP", list_key)', ""),
    ],
    "drop_stories": [
        ('redis.call("DEL", story_key)', "1"),
        ("HEAD - size - ARGV[(place + 1) / 2])", "0)"),
        ("size > 0", "true"),
    ],
    "close_hour": [('redis.call("HDEL", bytes_key, hour)', "")],
    "erase_listed": [('redis.call("LREM", list_key, 0, id)', "0")],
    "read_stories": [
        ('or ""', "or id"),
        ("return false", "return true"),
        ("found or string.find", "string.find"),
        ("part, 1, true)", "part)"),
        ("fits(text) and text or", ""),
        ("string.sub(text, 1, BEGINNING)", '""'),
    ],
    "read_list": [("list_key, first, last)", "list_key, 0, -1)")],
    "count_lists": [('redis.call("LLEN", list_key)', "1")],
    "count_bytes": [('redis.call("HGETALL", bytes_key)', "{}")],
    "figures_count": [
        ("for at = 5, #ARGV, 2 do", "for at = 5, 5 do"),
        ("name, ARGV[at + 1])", "name, 1)"),
        ('redis.call("PEXPIRE", counters_key, ttl)', ""),
        (', "PX", written_ttl', ""),
        (">= batch", "> batch"),
        ("names >= most", "false"),
        ("names = names + 1", ""),
    ],
    "await_reports": [
        OFFSET,
        ("for at = 2, #ARGV, 3 do", "for at = 2, 2 do"),
        ('redis.call("HSET", awaited_key, name, "0 0")', ""),
        ("if reported then", "if false then"),
        ("if known then", "if true then"),
        ('if count == "0" then', "if false then"),
        ('if count == "0" then', "if true then"),
        ("count + sent", "sent"),
        ('redis.call("PEXPIRE", awaited_key, ttl)', ""),
    ],
    "read_hash_page": [('"COUNT", count)', '"COUNT", count * 1000)')],
    "delete": [("unpack(KEYS)", "KEYS[1]")],
    "put": [(', "PX", ttl', "")],
    "mark_layout": [("not mark", "true"), ("not mark", "false")],
    "due": [
        OFFSET,
        ('"LIMIT", 0, count', '"LIMIT", 0, 100000'),
        ('range("(" .. now, "(" .. BAND, 1)[2] or', ""),
        ('"(" .. BAND', '"+inf"'),
        ("ipairs(range(0, now, limit))", "ipairs({})"),
        ("limit - (#found - 2) / 2", "limit"),
        ('range("-inf", now - BAND, left)', "{}"),
        ("now - BAND, left", '"+inf", left'),
        ("found[2] or found[3]", "found[3]"),
        ("found[2] or found[3]", "found[2]"),
        ("{place, range", "{1, range"),
    ],
    "list_ended": [
        OFFSET,
        ('redis.call("ZRANGEBYSCORE", due_key, BAND', 'redis.call("ZRANGEBYSCORE", due_key, 0'),
        ("now + BAND", '"+inf"'),
        ('"LIMIT", 0, limit', '"LIMIT", 0, 100000'),
    ],
    "expire": [
        ("end_deliveries(challenge)", ""),
        ('exhausted and "exhausted" or', ""),
        ('sent and "expired" or', ""),
        ("challenge.op = operation", ""),
        ("if challenge.watched then", "if false then"),
        ("now + BAND, id", "now, id"),
        ('redis.call("ZREM", due_key, id)', ""),
        KEEPTTL,
    ],
    "drop_late": [
        ('last.status, last.reason = "not_sent", "too_late"', ""),
        ("challenge.lease = nil", ""),
        ("if not may_have_come then", "if true then"),
        ("if not may_have_come then", "if false then"),
        ("superseded = 1, ", ""),
        ("refused = 1, ", ""),
        (", failed = 1", ""),
        ("end_deliveries(challenge)", ""),
        ("challenge.owed = #deliveries - 1", ""),
        ("challenge.op = not is_charged and operation or nil", ""),
        ("not is_charged and operation or nil", "operation"),
        ("#deliveries - 1", "#deliveries"),
        (" or challenge.state and challenge.watched", ""),
        ("now + BAND", "now"),
        ('redis.call("ZREM", due_key, id)', ""),
        ("challenge.expires + BAND", "challenge.expires"),
        KEEPTTL,
    ],
    "repaid": [
        OFFSET,
        ("challenge.lease ~= operation", "false"),
        (" or not challenge.owed", ""),
        ("challenge.owed = nil", ""),
        ("challenge.lease = nil", ""),
        ("if challenge.state and challenge.watched then", "if false then"),
        ('redis.call("ZREM", due_key, id)', ""),
        ("challenge.expires + BAND", "challenge.expires"),
        ("now + BAND", "now"),
        KEEPTTL,
    ],
    "end_expired": [
        ("if challenge and challenge.owed then", "if false then"),
        OFFSET,
        (" or challenge.state and not challenge.watched", ""),
        ('redis.call("ZREM", due_key, id)', ""),
        ("not challenge.state and now", "now"),
        ("now >= challenge.expires", "true"),
        ("KEYS[place]", "KEYS[2]"),
        ('report(id, "")', ""),
        ("challenge.op == operation", "false"),
        ("challenge.op == operation", "true"),
    ],
    "end_deliveries": [
        ('queued = "not_sent", ', ""),
        ('claimed = "not_sent", ', ""),
        (', sending = "unknown"', ""),
        (" or delivery.status", ' or "unknown"'),
        ("delivery.hash = nil", ""),
    ],
    "finish": [
        OFFSET,
        (" or challenge.app ~= app", ""),
        ("challenge.op == operation", "true"),
        ("challenge.state == state and challenge.op == operation", "false"),
        ("challenge.state or now >= challenge.expires", "now >= challenge.expires"),
        ("challenge.state or now >= challenge.expires", "challenge.state"),
        ("challenge.via = tonumber(via)", ""),
        ("end_deliveries(challenge)", ""),
        ("winner.hash = hash", ""),
        ("challenge.deliveries[challenge.via + 1]", "challenge.deliveries[1]"),
        ("challenge.deliveries[challenge.via + 1]", "challenge.deliveries[#challenge.deliveries]"),
        ("math.floor(now / 1000) * 1000 + life", "now + life"),
        ("challenge.proof = proof", ""),
        ('if proof and redis.call("PTTL", challenge_key) < life then', "if false then"),
        ('if proof and redis.call("PTTL", challenge_key) < life then', "if proof then"),
        ('redis.call("ZREM", due_key, id)', ""),
        KEEPTTL,
    ],
    "session_begin": [
        OFFSET,
        ("now + idle", "now"),
        ("now + longest", "now"),
        ('"PX", idle', '"PX", 1'),
    ],
    "session_read": [
        OFFSET,
        ("now >= record.idle_ends", "false"),
        ("math.min(now + idle, record.ends)", "now + idle"),
        ("math.min(now + idle, record.ends)", "record.idle_ends"),
    ],
    "audit_write": [
        OFFSET,
        ("math.max(now, (tonumber(newest[2]) or 0) + 1)", "now"),
        ('"NX", ', ""),
        ('redis.call("ZREMRANGEBYSCORE", acts_key, "-inf", now - keep)', ""),
        ('redis.call("ZREMRANGEBYRANK", acts_key, 0, -1 - most)', ""),
        ('redis.call("PEXPIRE", acts_key, keep)', ""),
    ],
    "audit_read": [
        ('"LIMIT", 0, limit', '"LIMIT", 0, -1'),
        ("acts_key, before,", 'acts_key, "+inf",'),
    ],
    "key_issue": [
        OFFSET,
        ("not make_room(ring, most)", "false"),
        ("if known then", "if false then"),
        ("record.line = record.id", ""),
        ("record.lifetime = lifetime", ""),
        ("record.expires = now + lifetime", ""),
        ('redis.call("HINCRBY", ring, "head", 1)', ""),
    ],
    "key_rotate": [
        ("successor.limited_to = key.limited_to", ""),
        OFFSET,
        ("not make_room(ring, most)", "false"),
        ("if made then", "if false then"),
        ('key.expires <= now then\n  return {"ended"}', "false then"),
        ("other.line == key.line and", ""),
        ("and not (other.expires and other.expires <= now)", ""),
        ('return {"crowded", other.id}', ""),
        ("successor.line = key.line", "successor.line = successor.id"),
        ("lifetime or key.lifetime", "key.lifetime"),
        ("lifetime or key.lifetime", "lifetime"),
        ("math.min(key.expires or now + overlap, now + overlap)", "now + overlap"),
        ("math.min(key.expires or now + overlap, now + overlap)", "key.expires"),
        ('redis.call("HINCRBY", ring, "head", 1)', ""),
    ],
    "key_revoke": [
        OFFSET,
        ("key.op == operation", "false"),
        ("key.expires and key.expires <= now", "false"),
        ("key.expires = now\n", "\n"),
        ("key.op = operation", ""),
        ('redis.call("HINCRBY", ring, "head", 1)', ""),
    ],
    "keys_read": [
        OFFSET,
        ("head == known", "false"),
        ("key.expires + keep <= now", "false"),
        ("key.expires + keep <= now", "key.expires <= now"),
        (', "u:" .. key.id)', ")"),
    ],
    "keys_record_uses": [
        ('redis.call("HEXISTS", ring, "k:" .. id) == 1', "true"),
        ("math.max(before, used)", "used"),
    ],
    "leave": [('redis.call("ZREM", workers_key, name)', "0")],
    "read_with_time": [OFFSET],
    "read_workers": [
        OFFSET,
        ("newest[2] or false", "false"),
        ("ZREVRANGE", "ZRANGE"),
        ('string.format("(%d", now)', '"-inf"'),
    ],
    "open": [
        OFFSET,
        ("challenge.review and challenge.expires + BAND or now - BAND", "now - BAND"),
        ("challenge.review and challenge.expires + BAND or", "challenge.review and now + BAND or"),
        ("if stored then", "if false then"),
        ("if known then", "if false then"),
        ("id .. fingerprint", "id"),
        (', "PX", idempotency_ttl', ""),
        (', "PX", ttl + retention', ""),
        ("challenge.expires = now + ttl", "challenge.expires = now + ttl + 1000"),
        ("challenge.deliveries[1].at = now", ""),
        ("or now - BAND", "or now"),
        ('redis.call("PEXPIRE", due_key, 2 * (ttl + retention))', ""),
        ("2 * (ttl + retention)", "ttl"),
        ('redis.call("PUBLISH", wake, id)', ""),
    ],
    "breaker_ask": [
        OFFSET,
        ("breaker.probe = now + lease", ""),
        ("(breaker.probe or 0) - now", "0"),
        ("pause > 0", "false"),
        KEEPTTL,
    ],
    "breaker_fault": [
        OFFSET,
        ("breaker.op == operation", "false"),
        ("breaker.ends and now < breaker.ends", "false"),
        ("breaker.faults >= tolerance", "true"),
        ("opened = pause or first", "opened = first"),
        ("opened = pause or math", "opened = math"),
        ("if breaker.ends then\n  opened", "if false then\n  opened"),
        ("math.min(2 * breaker.pause, longest)", "2 * breaker.pause"),
        ("breaker.probe = nil", ""),
        (', "PX", ttl', ""),
    ],
    "finish_event": [
        OFFSET,
        ('redis.call("ZREM", queue_key, id)', ""),
        ("if untried and event.op then", "if event.op then"),
        ("if untried and event.op then", "if untried then"),
        ("event.tries - 1, nil", "event.tries, nil"),
        KEEPTTL,
    ],
    "follow": [
        ('if own_name ~= "" then', "if false then"),
        ('if own_name ~= "" then', "if true then"),
        ("now + ttl, own_report", "now, own_report"),
        ('redis.call("PEXPIRE", followers_key, ttl)', ""),
        ("tonumber(ends) <= now", "false"),
        ('redis.call("HDEL", followers_key, found[place])', ""),
    ],
    "policy_apply": [
        ('redis.call("HGET", key, "op") == operation', "false"),
        ("tonumber(expected) ~= head", "false"),
        ("cjson.decode(current).text == record.text", "false"),
        ("if current and", "if true and"),
    ],
    "record_receipt": [
        OFFSET,
        ('string.find(overruled, "," .. mine.status .. ",", 1, true)', "true"),
        ("delivery.uid == upstream_id", "false"),
        ("delivery.ref == reference", "false"),
        ("carrier == account", "true"),
        ("delivery.up or ", ""),
        (" and not challenge.state and now < challenge.expires", ""),
        (" and rests", ""),
        ("if act == operation then", "if false then"),
        ("if act == operation then", "if true then"),
        ("now - at < repeated_for", "false"),
        ("now - at < repeated_for", "true"),
        ("receipt.arrived and not challenge.arrived", "receipt.arrived"),
        ("receipt.arrived and not challenge.arrived", "not challenge.arrived"),
        (
            "challenge.arrived = challenge.arrived or receipt.arrived or nil",
            "challenge.arrived = receipt.arrived or nil",
        ),
        ("< 0 then", "< -9 then"),
        KEEPTTL,
    ],
    "pace_write": [
        OFFSET,
        ("< now - life", "< now"),
        ('redis.call("HDEL", pace_key, known[at])', ""),
        ('redis.call("PEXPIRE", pace_key, life)', ""),
    ],
    "pace_read": [OFFSET],
    "put_events": [
        OFFSET,
        ("if not seen[name] then", "if true then"),
        ("not seen[ARGV[first + 2]]", "true"),
        ('redis.call("PEXPIRE", queue_key, 2 * ttl)', ""),
        KEEPTTL,
    ],
    "claim_event": [OFFSET, ("event.op == operation", "false"), ("event.tries = tries + 1", ""), KEEPTTL],
    "disarm": [
        OFFSET,
        (" or challenge.lease ~= operation", ""),
        ('if last.status == "claimed" then', "if false then"),
        ('last.status ~= "sending" or ', ""),
        (" or last.ref ~= reference", ""),
        ('last.status = "claimed"', ""),
        (CLEARED, ""),
        (CLEARED, "last.ref = nil"),
        (
            CLEARED,
            "last.ref, last.hash, last.ends = nil, nil, nil",
        ),
        (
            CLEARED,
            "last.ref, last.hash, last.up = nil, nil, nil",
        ),
        ('redis.call("ZADD", due_key, now + lease, id)', ""),
        KEEPTTL,
    ],
    "release": [
        OFFSET,
        (" or challenge.lease ~= operation", ""),
        (' or last.status ~= "claimed"', ""),
        ('last.status = "queued"', ""),
        ("challenge.lease = nil", ""),
        ("is_first and last.at - BAND or now", "now"),
        ("is_first and last.at - BAND or now", "last.at - BAND"),
        (" and not last.tried and not last.deferrals", ""),
        (" and not last.deferrals", ""),
        ('redis.call("ZADD", due_key, is_first and last.at - BAND or now, id)', ""),
        KEEPTTL,
    ],
    "resend": [
        OFFSET,
        ("if not challenge.review then", "if true then"),
        (" or challenge.app ~= app", ""),
        (" or challenge.state", ""),
        (" or now >= challenge.expires", ""),
        ("if challenge.owed then", "if false then"),
        ("#(challenge.attempts or {}) >= challenge.guesses", "false"),
        ("known.op == delivery.op", "false"),
        ("#deliveries >= challenge.sends", "false"),
        ("math.min(#deliveries, #challenge.cooldown)", "1"),
        ("now < last.at + cooldown", "false"),
        ('last.status == "queued" or last.status == "claimed"', 'last.status == "queued"'),
        ('last.status == "queued" or last.status == "claimed"', "true"),
        ('last.status = "superseded"', ""),
        ("delivery.at = now", ""),
        ("challenge.lease = nil", ""),
        ('redis.call("ZADD", due_key, now, id)', ""),
        KEEPTTL,
    ],
    "settle": [
        OFFSET,
        ("if not challenge then", "if false then"),
        ('string.find(overruled, "," .. mine.status .. ",", 1, true)', "true"),
        ("known_better = true", ""),
        ("mine.status = status", ""),
        ('mine.reason = reason ~= "" and reason or nil', ""),
        ('if upstream_id ~= "" then mine.uid = upstream_id end', ""),
        ("table.insert(last.tried, account)", ""),
        ('last.reason = "no_account_left"', ""),
        ('changed and (move == "hold" or move == "wait")', "changed"),
        ("not challenge.state and not challenge.owed and", "not challenge.owed and"),
        (" and not challenge.owed", ""),
        (" and challenge.lease == operation", ""),
        ("challenge.lease = nil", ""),
        ('challenge.state = "undeliverable"', ""),
        ("end_deliveries(challenge)", ""),
        ("#(challenge.attempts or {}) >= challenge.guesses", "false"),
        ('redis.call("ZREM", due_key, id)', ""),
        ('last.status = "queued"', ""),
        ("(last.deferrals or 0) + 1", "1"),
        ('if account ~= "" then last.deferrals', "if true then last.deferrals"),
        ("delivery.at = now", ""),
        ("math.min(now + pause, deadline)", "now + pause"),
        ("deadline >= challenge.expires and deadline + BAND or deadline", "deadline"),
        ("deadline >= challenge.expires and deadline + BAND or deadline", "deadline + BAND"),
        ('(leads or is_repeated) and move or ""', "move"),
        ("challenge.moved == operation", "false"),
        ("challenge.moved == operation", "true"),
        ('move == "next" or move == "give_up"', 'move == "next"'),
        ('move == "next" or move == "give_up"', 'move == "give_up"'),
        KEEPTTL,
    ],
    "use_once": [
        (', "NX"', ""),
        ("ARGV[place] == first", "false"),
        ("ARGV[place] == first", "true"),
        ("for place = 3, #ARGV do", "for place = 3, 3 do"),
        ("ends and ends - now or ttl", "ttl == '' and 1000 or ttl"),
        ("ends and ttl <= 0", "false"),
        ('    redis.call("SET", key, first, "KEEPTTL")\n', ""),
        (', "PX", ttl', ""),
        KEEPTTL,
    ],
}

OF_THE_GUARD = (
    "guard/test_giving_back",
    "guard/test_windows",
    "guard/test_cooldown",
    "guard/test_conversion",
    "guard/test_verdicts",
    "guard/test_pins",
    "guard/test_history",
    "guard/test_blocks",
    "guard/test_lifetimes",
    "guard/test_owner_first",
)
# The guard's scripts have tests of their own, which take a share of the time.
GUARD_TESTS = tuple(
    f"tests/{name}.py"
    for name in (
        *OF_THE_GUARD,
        "guard/test_limits",
        "guard/test_fallback",
        "system/test_lost_replies",
        "system/test_rotation",
        "ops/test_erasure",
    )
)
GUARD: dict[str, list[tuple[str, str]]] = {
    "guard": [
        OFFSET,
        # What is kept, and for how long.
        ('if #gone > 0 then redis.call("HDEL", key, unpack(gone)) end', ""),
        ('if redis.call("PTTL", key) < ms then redis.call("PEXPIRE", key, ms) end', ""),
        ('if redis.call("PTTL", key) < ms then', "do"),
        ("math.max(lives[key] or 0, ms)", "ms"),
        ("(bucket + 1) * width + ms <= now", "false"),
        ("(bucket + 1) * width + ms <= now", "bucket * width + ms <= now + width"),
        ("live(key, ms + width)", "live(key, ms)"),
        ("live(key, line.forget)", ""),
        # Windows.
        (
            "bucket_of(now - ms, ms, PARTS), bucket_of(now, ms, PARTS)",
            "bucket_of(now, ms, PARTS), bucket_of(now, ms, PARTS)",
        ),
        ("bucket_of(now - ms, ms, PARTS), bucket_of", "1 + bucket_of(now - ms, ms, PARTS), bucket_of"),
        ("sum = sum + figure\n", "sum = sum + 1\n"),
        (
            "parts[#parts + 1] = {(bucket + 1) * width + ms, figure}",
            "parts[1] = {(bucket + 1) * width + ms, figure}",
        ),
        ("sum = sum - part[2]\n", "sum = 0\n"),
        ("return part[1] - now", "return 1000"),
        ("math.max(line.cost, 1)", "line.cost"),
        ("sum + least > limit", "sum + least >= limit"),
        ("sum + least > limit", "sum >= limit + least"),
        ('level == "refuse" and math.max(pause, line.hold) or pause', "pause"),
        ('level == "refuse" and math.max(pause, line.hold)', 'level == "refuse" and line.hold'),
        ('level == "refuse" and line.on and line.cost > 0', "line.on and line.cost > 0"),
        ('level == "refuse" and line.on and line.cost > 0', 'level == "refuse" and line.cost > 0'),
        ('level == "refuse" and line.on and line.cost > 0', 'level == "refuse" and line.on'),
        ("left / limit < nearest.left / nearest.limit", "false"),
        ("left / limit < nearest.left / nearest.limit", "true"),
        ("limit - sum - line.cost", "limit - sum"),
        ("if held > 0 then", "if false then"),
        ("now + one.pause)\n  end\n  local stored", "now)\n  end\n  local stored"),
        ('line.hold > 0 and one.level == "refuse"', "line.hold > 0"),
        ("seen[ms] = true", ""),
        ("line.cost ~= 0 then", "line.cost > 0 then"),
        ("sign * line.cost", "line.cost"),
        ("sign * line.cost", "sign"),
        # The ladder.
        ("sent > 0 and now - last < line.forget", "sent > 0"),
        ("math.min(sent, #line.steps)", "1"),
        ("math.min(sent, #line.steps)", "sent"),
        (
            'if pause > 0 then\n      trip(line, "refuse", sent',
            'if true then\n      trip(line, "refuse", sent',
        ),
        ("now - tonumber(last) < line.forget and sent or 0", "sent"),
        ("math.max(0, sent - 1)", "sent"),
        ('write(key, line.mark .. "l", fields[line.mark .. "b"] or 0)', ""),
        ('write(key, line.mark .. "l", now)\n    live(key, line.forget)', "live(key, line.forget)"),
        # Conversion.
        ("if held > now then", "if false then"),
        ("math.max(now - line.within, held)", "now - line.within"),
        (
            "bucket_of(now - line.grace, line.within, CONVERSION_PARTS)",
            "bucket_of(now, line.within, CONVERSION_PARTS) + 1",
        ),
        ('sent = sent + (fields[start .. "s." .. bucket] or 0)', "sent = sent + 1"),
        ('(fields[start .. "a." .. bucket] or 0) - back', "0"),
        ('(fields[start .. "a." .. bucket] or 0) - back', '(fields[start .. "a." .. bucket] or 0)'),
        ("proven = proven + back", ""),
        ("math.max(line.least, proven)", "line.least"),
        ("math.max(line.least, proven)", "proven"),
        ("flying >= bound", "flying > bound"),
        ("line.grace, line.grace, HEAVY)", "line.grace, line.grace, 0)"),
        ("line.within, held - now, HEAVY)", "line.within, held - now, 0)"),
        ("line.within, hold, HEAVY)", "line.within, hold, 0)"),
        ("line.mark .. line.within", "line.mark"),
        ('line.mark .. "h" .. line.of, now + hold', 'line.mark .. "h", now + hold'),
        ('line.mark .. "p" .. line.of, hold', 'line.mark .. "p", hold'),
        ('line.mark .. "h" .. line.of, now + one.pause', 'line.mark .. "h", now + one.pause'),
        ("if line.on then -- a rule that only watches", "if true then --"),
        ("over = math.max(over, one.over)", "over = 0"),
        ('line.add or "a"', 'line.add or "s"'),
        ("now - held < before + line.within", "before > 0"),
        ("now - held < before + line.within", "false"),
        ("lately and math.min(line.probes, line.least) or line.least", "line.least"),
        ("math.min(line.probes, line.least)", "line.probes"),
        ("lately and sent < least and flying >= line.probes", "false"),
        ("flying >= line.probes", "flying > line.probes"),
        ("lately and sent < least and", "lately and"),
        ("sent >= least and verified", "verified"),
        ("sent >= least and verified", "sent > least and verified"),
        ("verified < line.share * sent", "verified <= line.share * sent"),
        ("verified < line.share * sent", "true"),
        ("lately and math.max(line.hold, math.min(2 * before, line.longest)) or line.hold", "line.hold"),
        ("math.min(2 * before, line.longest)", "2 * before"),
        ("math.max(line.hold, math.min(2 * before, line.longest))", "math.min(2 * before, line.longest)"),
        ("live(key, 2 * hold + line.within)", "live(key, hold)"),
        ("line.moment or moment", "moment"),
        # Pins.
        ('(not pin["until"] or pin["until"] > now)', "true"),
        ('destination == "allow" and owner == "destination" or ', ""),
        (' or caller == "allow" and owner == "caller"', ""),
        (' and owner == "destination"', ""),
        (' and owner == "caller"', ""),
        ('if destination == "refuse" then', "if false then"),
        ('if caller == "refuse" then', "if false then"),
        # Lists.
        ('redis.call("EXISTS", KEYS[key]) == 1', "false"),
        ('redis.call("EXISTS", KEYS[key]) == 1', "true"),
        # The verdict.
        ("if one.on then\n    asked", "if true then\n    asked"),
        ("verdict = charged_as", 'verdict = "allow"'),
        ("if charged_at then\n  verdict", "if false then\n  verdict"),
        (" or asked.cheap and not plan.cheap then", " then"),
        ("asked.cheap and not plan.cheap", "asked.cheap"),
        ("asked.human_check and not plan.trusted and (", "asked.human_check and ("),
        ("(not plan.proof or over > plan.enough)", "true"),
        ("(not plan.proof or over > plan.enough)", "not plan.proof"),
        ("(not plan.proof or over > plan.enough)", "over > plan.enough"),
        ('one.level == "human_check" then over', "true then over"),
        ('redis.call("EXISTS", proof_key) == 1', "false"),
        ('elseif asked.cheap then\n  verdict = "cheap"', 'elseif false then\n  verdict = "cheap"'),
        # Once per operation, all or none.
        ("if not charged_at then\n", "if true then\n"),
        ('if act == "charge" and not charged_at then', 'if act == "charge" then'),
        ('if act == "charge" and not charged_at then', "if not charged_at then"),
        ("  if passed then\n", "  if true then\n"),
        ('verdict == "allow" or verdict == "cheap"', 'verdict == "allow"'),
        ('redis.call("SET", operation_key, record, "PX", plan.remember)', ""),
        ('redis.call("SET", operation_key, now .. " added   ", "PX", plan.remember)', ""),
        ('redis.call("SET", proof_key, 1, "PX", plan.spent)', ""),
        ("if charged_at and charged_by == plan.call then", "if true then"),
        (" and charged_by == plan.call then", " then"),
        ("charge(line, tonumber(charged_at), -1)", "charge(line, now, -1)"),
        ('redis.call("DEL", operation_key, proof_key)', ""),
        ('redis.call("DEL", operation_key, proof_key)', 'redis.call("DEL", operation_key)'),
        # What trickles through, and for whom.
        ("if now < met + MET then", "if false then"),
        ("if now < met + MET then", "if met > 0 then"),
        ("if left >= most then", "if left > most then"),
        ("if left >= most then", "if false then"),
        ("math.min(pause, room_in(left, parts, 1, most))", "pause"),
        ("line.trickles = true", ""),
        ('trip(line, "human_check", sum, limit, ms, pause, HEAVY)', ""),
        (
            'trip(line, "human_check", sum, limit, ms, pause, HEAVY)',
            'trip(line, "human_check", sum, limit, ms, pause)',
        ),
        ('level == "refuse" and line.trickle and line.trickle[2] < ms', "false"),
        ("line.trickle and line.trickle[2] < ms", "line.trickle"),
        ("math.max(pause, line.hold))\n      else", "pause)\n      else"),
        ("marks = marks .. line.mark", ""),
        (
            "line.trickle[2], now, line.trickle[2], PARTS, 1)",
            "line.trickle[2], now, line.trickle[2], PARTS, 0)",
        ),
        (
            "line.trickle[2], charged, line.trickle[2], PARTS, -1)",
            "line.trickle[2], charged, line.trickle[2], PARTS, 0)",
        ),
        ("now >= at + MET then remove", "false then remove"),
        ("now >= at + MET then remove", "true then remove"),
        ("if count >= NETWORKS then", "if false then"),
        ("tonumber(at) < first", "tonumber(at) > 0"),
        ("MET, NETWORKS = 30 * DAY", "MET, NETWORKS = DAY"),
        ('string.sub(name, 1, 1) == "w"', "true"),
        ('write(key, "w" .. line.from, now)', ""),
        ('write(key, "w" .. line.from, now)\n      live(key, DAY)', 'write(key, "w" .. line.from, now)'),
        ('write(key, "w" .. line.from, met)', ""),
        ('write(key, "w" .. line.from, met)', 'remove(key, "w" .. line.from)'),
        ("== charged then\n      write", "> 0 then\n      write"),
        ("if not met and line.trickle", "if line.trickle"),
        ('remove(key, "w" .. line.from)\n  end\nend', "end\nend"),
        # Messages that were verified.
        ("limit = math.max(limit, math.floor(line.ratio", "limit = math.min(limit, math.floor(line.ratio"),
        ("if line.ratio then limit", "if false then limit"),
        ("math.floor(line.ratio * counted", "math.floor(counted"),
        ("ipairs({bucket, bucket - 1, bucket + 1})", "ipairs({bucket - 1, bucket + 1})"),
        ("if tonumber(fields[name] or 0) > 0 then", "if fields[name] then"),
        ("write(key, name, fields[name] - 1)", ""),
        ("for _, sent_at in ipairs(line.moments) do", "for _, sent_at in ipairs({line.moments[1]}) do"),
        ("if line.ratio then add_to_bucket", "if false then add_to_bucket"),
        # Wrong codes in a row, and the standing of devices.
        ("failures + found, math.max", "found, math.max"),
        ("math.max(last, tonumber(fields", "math.min(last, tonumber(fields"),
        ("if place > 1 and found > 0 then", "if false then"),
        ('remove(KEYS[other], line.mark .. "n")', ""),
        ('write(key, line.mark .. "n", failures)', ""),
        ("math.min(failures * line.step, line.longest)", "failures * line.step"),
        ("math.min(failures * line.step, line.longest)", "line.step"),
        ("if failures >= line.most then", "if failures > line.most then"),
        ("if failures >= line.most then", "if false then"),
        ("elseif pause > 0 then", "elseif false then"),
        (
            'trip(line, "refuse", failures, line.most, 0, CLOSED)',
            'trip(line, "refuse", failures, line.most, 0, 0)',
        ),
        ('line.kind == "streak" and line.cost > 0', 'line.kind == "streak"'),
        (
            '(fields_of(key)[line.mark .. "n"] or 0) + 1)\n    write(key, line.mark .. "l", now)\n',
            '1)\n    write(key, line.mark .. "l", now)\n',
        ),
        ('write(key, line.mark .. "l", now)\n    live(key, line.kept)', "live(key, line.kept)"),
        ('write(key, line.mark .. "l", now)\n    live(key, line.kept)', 'write(key, line.mark .. "l", now)'),
        ('(fields_of(key)[line.mark .. "n"] or 0) + sign))', '(fields_of(key)[line.mark .. "n"] or 0) + 1))'),
        ("+ sign))\n    live(key, DAY)", "+ sign))"),
        (
            "for _, place in ipairs(line.keys) do\n      for",
            "for _, place in ipairs({line.keys[1]}) do\n      for",
        ),
        ("if tonumber(last) <= moment and moment - tonumber(last) < NEAR then write", "if true then write"),
        # Blocks.
        ("rank[one.level] > rank[other.level]", "rank[one.level] < rank[other.level]"),
        ("return one.pause > other.pause", "return one.pause < other.pause"),
        (" or weighs_more(one, most[line])", ""),
        ("not most[line] or weighs_more(one, most[line])", "true"),
        ('stored["until"] + plan.keep > now and stored or', "stored or"),
        ('stored and stored["until"] + plan.keep > now and stored or', ""),
        ("if one.limit > 0 then block.value", "if true then block.value"),
        ("if one.on and not passed then", "if not passed then"),
        ("if one.on and not passed then", "if one.on then"),
        ('live(key, block["until"] - now + plan.keep)', ""),
        (
            'redis.call("ZADD", index_key, block["until"], line.rule .. string.sub(key, #index_key - 6))',
            "",
        ),
        ('redis.call("ZREMRANGEBYSCORE", index_key, "-inf", now - plan.keep)', ""),
        ('redis.call("ZREMRANGEBYRANK", index_key, 0, -BLOCKS - 1)', ""),
        ('redis.call("PEXPIRE", index_key, 86400000 + plan.keep)', ""),
        ('if act == "charge" and charged_at then', "if false then"),
        ("charged_as, plan.call, charged_marks", "charged_as, charged_by, charged_marks"),
        ("plan.call, charged_marks, charged_met}", 'plan.call, "", charged_met}'),
        (
            '" ")\n  redis.call("SET", operation_key, record, "PX", plan.remember)',
            '" ")\n  redis.call("SET", operation_key, record, "KEEPTTL")',
        ),
        # The rest of what the script decides.
        (
            "  if not charged_at then\n    for _, line in ipairs(plan.lines) do charge(line, plan.moment, -1)",
            "  if true then\n    for _, line in ipairs(plan.lines) do charge(line, plan.moment, -1)",
        ),
        ("charge(line, plan.moment, -1)", "charge(line, now, -1)"),
        ("charge(line, plan.moment, -1)", "charge(line, plan.moment, 1)"),
        (
            "for _, line in ipairs(plan.lines) do charge(line, plan.moment, -1) end",
            "charge(plan.lines[1], plan.moment, -1)",
        ),
        ('redis.call("SET", operation_key, now .. " back   ", "PX", plan.remember)', ""),
        ('now .. " back   ", "PX", plan.remember)', 'now .. " back   ")'),
        ('" back   ", "PX", plan.remember)\n    write_all()', '" back   ", "PX", plan.remember)'),
        (
            "  if not charged_at then\n    for _, line in ipairs(plan.lines) do charge(line, now, 1)",
            "  if true then\n    for _, line in ipairs(plan.lines) do charge(line, now, 1)",
        ),
        ('" added   ", "PX", plan.remember)\n    write_all()', '" added   ", "PX", plan.remember)'),
        ('now .. " added   ", "PX", plan.remember)', 'now .. " added   ")'),
        (
            'redis.call("DEL", operation_key, proof_key)\n    write_all()',
            'redis.call("DEL", operation_key, proof_key)',
        ),
        ('redis.call("DEL", operation_key, proof_key)', 'redis.call("DEL", proof_key)'),
        ("refund_trickles(tonumber(charged_at), charged_marks, charged_met)", ""),
        ('record, "PX", plan.remember)', "record)"),
        ('redis.call("SET", proof_key, 1, "PX", plan.spent)', 'redis.call("SET", proof_key, 1)'),
        ("  fields_of(key)[name] = nil\n", ""),
        ("if not read[key] then", "if true then"),
        ("if #set > 0 then", "if true then"),
        ("math.floor(moment / math.ceil(ms / parts))", "math.floor(moment / math.floor(ms / parts))"),
        ("  return 1000\nend", "  return 0\nend"),
        ("over = over or limit > 0 and", "over = limit > 0 and"),
        ("over = over or limit > 0 and", "over = over or"),
        ('fields["w" .. (line.from or "")]', 'fields["w"]'),
        (
            'tonumber(fields[line.mark .. "h" .. line.of] or 0) - now',
            'tonumber(fields[line.mark .. "h"] or 0) - now',
        ),
        (
            'return trip(line, "refuse", 0, 0, line.hold, held)',
            'return trip(line, "refuse", 0, 0, line.hold, line.hold)',
        ),
        ('return trip(line, "refuse", 0, 0, line.hold, held)', 'trip(line, "refuse", 0, 0, line.hold, held)'),
        ("parts[1] and parts[1][1] - now or ms", "ms"),
        ("parts[1] and parts[1][1] - now or ms", "parts[1] and parts[1][1] - now or 0"),
        ("if sent > 0 and now - last < line.forget then", "if now - last < line.forget then"),
        ("local pause = last + step - now", "local pause = step"),
        ("math.max(0, sent - 1)", "sent - 1"),
        (
            "if tonumber(last) <= moment and moment - tonumber(last) < NEAR then",
            "if tonumber(last) <= moment then",
        ),
        (
            "if tonumber(last) <= moment and moment - tonumber(last) < NEAR then",
            "if moment - tonumber(last) < NEAR then",
        ),
        (
            "if tonumber(last) <= moment and moment - tonumber(last) < NEAR then",
            "if tonumber(last) < moment and moment - tonumber(last) < NEAR then",
        ),
        ("local NEAR = 5000", "local NEAR = 1"),
        ('write(key, line.mark .. "b", last)', ""),
        ('write(key, line.mark .. "l", last)\n', "\n"),
        (
            'write(key, line.mark .. "l", last)\n      live(key, line.kept)',
            'write(key, line.mark .. "l", last)',
        ),
        ("if bucket < last then", "if bucket <= last then"),
        ("      proven = proven + back\n", "      proven = back\n"),
        ("        verified = verified + back\n", ""),
        ("math.max(line.grace, 1000)", "line.grace"),
        ("math.max(line.grace, 1000)", "1000"),
        ('write(key, line.mark .. "h" .. line.of, now + hold)', ""),
        ('write(key, line.mark .. "p" .. line.of, hold)', ""),
        ('tonumber(fields[line.mark .. "p" .. line.of] or 0)', 'tonumber(fields[line.mark .. "p"] or 0)'),
        (
            'local held = tonumber(fields[line.mark .. "h" .. line.of] or 0)\n',
            'local held = tonumber(fields[line.mark .. "h"] or 0)\n',
        ),
        ("return trip(line, line.level, flying, line.probes", "trip(line, line.level, flying, line.probes"),
        ("trip(line, line.level, flying, line.probes", 'trip(line, "human_check", flying, line.probes'),
        ("trip(line, line.level, verified, sent", 'trip(line, "human_check", verified, sent'),
        (
            "trip(line, line.level, 0, 0, line.within, held",
            'trip(line, "human_check", 0, 0, line.within, held',
        ),
        ("return trip(line, line.level, verified, sent", "trip(line, line.level, verified, sent"),
        ("line.within, CONVERSION_PARTS, sign)", "line.within, CONVERSION_PARTS, 1)"),
        ("if #names == 0 then return nil end", ""),
        ("if pin and (", "if ("),
        ("if not fields[name] then\n    for other", "if false then\n    for other"),
        ("(fields[name] or 0) + amount", "amount"),
        ("ipairs({bucket, bucket - 1, bucket + 1})", "ipairs({bucket, bucket - 1})"),
        ("ipairs({bucket, bucket - 1, bucket + 1})", "ipairs({bucket, bucket + 1})"),
        ("      return write(key, name, fields[name] - 1)", "      write(key, name, fields[name] - 1)"),
        ('if line.kind == "fixed" then return end', ""),
        (
            'math.max(0, (fields_of(key)[line.mark .. "n"] or 0) + sign)',
            '(fields_of(key)[line.mark .. "n"] or 0) + sign',
        ),
        ("if string.sub(name, 1, #line.mark) == line.mark then", "if true then"),
        ('line.trickle and (line.from or "") ~= ""', "line.trickle"),
        ("return marks, met or 0", "return marks, 0"),
        ("return marks, met or 0", 'return "", met or 0'),
        ("if key and string.find(marks, line.mark, 1, true) then", "if key then"),
        ("if one.level ~= other.level then", "if false then"),
        ('if line.on and line.kind == "count" and', 'if line.kind == "count" and'),
        ('if line.on and line.kind == "count" and', "if line.on and"),
        ("block.level, block.on = one.level, one.on", ""),
        ('block["until"] = now + one.pause', 'block["until"] = block["until"] or now + one.pause'),
        ("block.value, block.limit, block.ms = one.value, one.limit, one.ms", ""),
        ("if line.mark and (", "if ("),
        ("    for _, one in pairs(most) do keep_block(one, passed) end", ""),
        ("string.sub(key, #index_key - 6)", "key"),
        ("plan.subjects[line.keys[1] - 4]", "plan.subjects[1]"),
        ('verdict == "allow" or verdict == "cheap"', 'verdict ~= "refuse"'),
        ("elseif pause > 0 then", "elseif true then"),
    ],
    "guard_list_blocks": [("0, limit - 1", "0, -1")],
    "guard_lift_block": [
        ("string.sub(field, 1, #mark) == mark", "true"),
        ('redis.call("HDEL", key, field)', ""),
        ('redis.call("ZREM", index_key, id)', ""),
        ('redis.call("HEXISTS", key, mark .. "block") == 1', "true"),
        ('redis.call("HEXISTS", key, mark .. "block") == 1', "false"),
        ('redis.call("SET", operation_key, 1, "PX", remember)', ""),
    ],
    "guard_pin": [
        OFFSET,
        ('redis.call("HEXISTS", pins_key, name) == 0', "true"),
        ('redis.call("HLEN", pins_key) >= most then\n    local', "false then\n    local"),
        ("ends and ends <= now", "false"),
        ("ends and ends <= now", "ends"),
        ("return -1", ""),
        ('redis.call("HDEL", pins_key, name) == 1', "true"),
        ('redis.call("HDEL", pins_key, name) == 1', "false"),
        ('redis.call("SET", operation_key, 1, "PX", remember)', ""),
    ],
}

# What is kept of a number, written anew when keys are rotated, and forgotten.
RECORD_TESTS = tuple(
    f"tests/{name}.py"
    for name in (
        *OF_THE_GUARD,
        "verification/test_known",
        "system/test_lost_replies",
        "system/test_rotation",
        "ops/test_erasure",
        "cli/test_rekey",
    )
)
RECORDS: dict[str, list[tuple[str, str]]] = {
    "read_first": [("ipairs(KEYS)", "ipairs({KEYS[1]})"), ("if value then", "if false then")],
    "erase": [('redis.call("ZREM", due_key, id)', ""), ('redis.call("DEL", challenge_key)', "1")],
    "rename": [
        ('redis.call("GET", new_key) == value', "false"),
        ('redis.call("GET", old_key) ~= expected', "false"),
        ('redis.call("DEL", old_key)', ""),
        ('"PX", ttl, "NX"', '"NX"'),
        ('"PX", ttl, "NX"', '"PX", ttl'),
    ],
    "guard_rename_pin": [
        ('redis.call("HGET", pins_key, new) == record', "false"),
        ('redis.call("HGET", pins_key, old) ~= expected', "false"),
        ('redis.call("HDEL", pins_key, old)', ""),
        ("HSETNX", "HSET"),
    ],
    "guard_erase": [('redis.call("ZREM", KEYS[1], unpack(ARGV))', ""), ("unpack(KEYS, 2)", "KEYS[2]")],
    "guard_recycle": [
        ('redis.call("ZREM", index_key, unpack(ARGV, 5, 4 + blocks))', ""),
        ('redis.call("HDEL", pins_key, unpack(ARGV, 5 + blocks))', ""),
        ("5 + blocks", "6 + blocks"),
        ('redis.call("DEL", unpack(KEYS, 3))', ""),
        ("2 + numbers", "3"),
        ('"PX", ttl', '"PX", ttl + ttl'),
    ],
    "guard_record_session": [
        OFFSET,
        ("place > most or ", ""),
        (" or one.at + ms <= now", ""),
        ("one.at > other.at", "one.at < other.at"),
        ('redis.call("PEXPIRE", KEYS[1], ms)', ""),
    ],
    "guard_read_past": [
        OFFSET,
        (" and now < at + ms", ""),
        ("recycled or redis.call", "redis.call"),
        ("met = 1", "met = 0"),
        ("place > names + 1", "place > 2"),
        ("ARGV[1 + place - names]", "ARGV[3]"),
        ("elseif place > 1 then", "else"),
        ('redis.call("HGET", KEYS[1], "dn") or 0', "0"),
    ],
}


def mutants(only: list[str]) -> list[tuple[Mutant, tuple[str, ...]]]:
    """List all mutants with the tests that must notice."""
    found = [
        (Mutant(script, old, new), tests)
        for table, tests in (
            (CHANGES, TESTS),
            (GUARD, GUARD_TESTS),
            (RECORDS, RECORD_TESTS),
        )
        for script, changes in table.items()
        for old, new in changes
    ]
    return [(mutant, tests) for mutant, tests in found if not only or mutant.script in only]


def catch(mutant: Mutant, tests: tuple[str, ...]) -> tuple[str, bool]:
    """Break a script on a copy and run the tests; give what failed, or why nothing did, and which of both."""
    with tempfile.TemporaryDirectory(prefix="otp-mutant-") as folder:
        copy = Path(folder)
        for part in ("otp_service", "tests", "docs"):
            shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", copy)
        [script] = (copy / "otp_service").rglob(f"lua/**/{mutant.script}.lua")
        source = script.read_text()
        if mutant.old not in source:
            return "this stands nowhere in the script", False
        script.write_text(source.replace(mutant.old, mutant.new))
        nearest = nearest_first(mutant.script, script.relative_to(copy).parts[1], tests)
        verdict = run_tests(copy, nearest[:2])
        return verdict if verdict[1] or not nearest[2:] else run_tests(copy, nearest[2:])


def nearest_first(script: str, owner: str, tests: tuple[str, ...]) -> list[str]:
    """Sort tests: those of the folder that owns a script first, and of these the ones that name it most often."""
    act = script.removeprefix("guard_")

    def distance(test: str) -> tuple[bool, int]:
        return not test.startswith(f"tests/{owner}/"), -(ROOT / test).read_text().count(act)

    return sorted(tests, key=distance)


def run_tests(copy: Path, tests: list[str]) -> tuple[str, bool]:
    """Run tests on a copy; give what failed, or why nothing did, and whether the change was noticed."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-k", f"not {SLOW}", *tests]
    try:
        run = subprocess.run(
            command, cwd=copy, capture_output=True, text=True, check=False, timeout=HANGS_AFTER
        )
    except subprocess.TimeoutExpired:
        return "the tests hung", True
    if run.returncode == 1:
        noticed = re.search(r"^(?:FAILED|ERROR) (\S*::\S+)", run.stdout, re.MULTILINE)
        return noticed[1] if noticed else "a test", True
    return ("no test failed" if run.returncode == 0 else run.stdout[-2000:]), False


def main() -> int:
    """Try all mutants, or those of the scripts named."""
    chosen = mutants(sys.argv[1:])
    survivors = 0
    with ThreadPoolExecutor(AT_ONCE) as pool:
        verdicts = pool.map(lambda one: catch(*one), chosen)
        for (mutant, _), (reason, caught) in zip(chosen, verdicts, strict=True):
            survivors += not caught
            sys.stdout.write(f"{'caught  ' if caught else 'SURVIVED'} {mutant.name}: {reason}\n")
            sys.stdout.flush()
    sys.stdout.write(f"{len(chosen) - survivors} of {len(chosen)} caught\n")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())

"""Breaks each check of each Lua script, one at a time, on a copy: a test must fail each time (K6).

Run by hand or in CI: `python -m tests.lua_mutants [SCRIPT...]`. Ends with an error when a broken script
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

ROOT = Path(__file__).parent.parent
TESTS = tuple(
    f"tests/test_{name}.py"
    for name in ("store", "breakers", "policies", "keyring", "lost_replies", "model", "races")
)
AT_ONCE = 2
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


OFFSET = ("math.floor(time[2] / 1000) + offset", "math.floor(time[2] / 1000)")
KEEPTTL = (', "KEEPTTL")', ")")

CHANGES: dict[str, list[tuple[str, str]]] = {
    "arm": [
        OFFSET,
        ("challenge.state or challenge.lease", "challenge.lease"),
        (" or challenge.lease ~= operation", ""),
        (" or now >= challenge.expires", ""),
        ("and last.ref == reference", ""),
        ('last.status ~= "claimed"', "false"),
        ('return {"armed", now}\nend\nif', 'return {"lost", now}\nend\nif'),
        ("live < 0", "false"),
        ("live < 0", "live < 1"),
        ("last.hash = code_hash", ""),
        ('redis.call("ZADD", due_key, now + lease, id)', ""),
        KEEPTTL,
    ],
    "attempt": [
        OFFSET,
        (" or challenge.app ~= app", ""),
        (" or challenge.state", ""),
        (" or now >= challenge.expires", ""),
        ("now >= challenge.expires", "now > challenge.expires"),
        ("challenge.digits ~= code_length", "false"),
        ("known == operation", "false"),
        ("#attempts >= challenge.guesses", "#attempts > challenge.guesses"),
        ("#attempts >= challenge.guesses", "false"),
        ('redis.call("SET", challenge_key, stored, "KEEPTTL")', ""),
        KEEPTTL,
    ],
    "beat": [
        OFFSET,
        ('redis.call("ZREMRANGEBYSCORE", workers_key, "-inf", now)', ""),
        ('redis.call("PEXPIRE", workers_key, 2 * ttl)', ""),
        ("table.sort(names)", ""),
    ],
    "charge": [
        OFFSET,
        ('redis.call("ZSCORE", log_key, operation)', "false"),
        ('redis.call("ZREMRANGEBYSCORE", log_key, "-inf", now - longest)', ""),
        ("limit - 1, limit - 1", "limit, limit"),
        ("at = 3, #ARGV, 2", "at = 3, 4, 2"),
        ("at = 3, #ARGV, 2", "at = 5, #ARGV, 2"),
        ("math.max(pause, blocking[2] + window - now)", "blocking[2] + window - now"),
        ("pause > 0", "false"),
        ('redis.call("PEXPIRE", log_key, longest)', ""),
    ],
    "claim": [
        OFFSET,
        ("not challenge or (challenge.state and not challenge.watched)", "not challenge"),
        ("tonumber(deadline) > now", "false"),
        ("challenge.lease == operation then", "false then"),
        ('last.status == "claimed" and "send" or "waited"', '"waited"'),
        ('last.status == "claimed" and "send" or "waited"', '"send"'),
        ("exhausted and now < challenge.expires", "false"),
        ('redis.call("ZADD", due_key, challenge.expires, id)', ""),
        ("if now >= challenge.expires", "if false"),
        ("delivery.hash = nil", ""),
        ('exhausted and "exhausted" or', ""),
        ('sent and "expired" or', ""),
        ('    redis.call("ZREM", due_key, id)\n  end\n  what', "  end\n  what"),
        ('or last.status == "claimed" then', "then"),
        ('last.status = "claimed"', ""),
        ('last.status = "unknown"', ""),
        ("challenge.lease = operation\n", "\n"),
        ("now + lease", "now"),
        KEEPTTL,
    ],
    "due": [
        OFFSET,
        ('"LIMIT", 0, limit', '"LIMIT", 0, 100000'),
        ("following[2] or", ""),
    ],
    "finish": [
        OFFSET,
        (" or challenge.app ~= app", ""),
        ("challenge.op == operation", "true"),
        ("challenge.state == state and challenge.op == operation", "false"),
        ("challenge.state or now >= challenge.expires", "now >= challenge.expires"),
        ("challenge.state or now >= challenge.expires", "challenge.state"),
        ("challenge.via = tonumber(via)", ""),
        ("delivery.hash = nil", ""),
        ('redis.call("ZREM", due_key, id)', ""),
        KEEPTTL,
    ],
    "key_issue": [
        OFFSET,
        ("if known then", "if false then"),
        ("record.line = record.id", ""),
        ("record.lifetime = lifetime", ""),
        ("record.expires = now + lifetime", ""),
        ('redis.call("HINCRBY", ring, "head", 1)', ""),
    ],
    "key_rotate": [
        OFFSET,
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
    "keys_used": [
        ('redis.call("HEXISTS", ring, "k:" .. id) == 1', "true"),
        ("math.max(before, used)", "used"),
    ],
    "leave": [('redis.call("ZREM", workers_key, name)', "0")],
    "look": [OFFSET],
    "open": [
        OFFSET,
        ("if stored then", "if false then"),
        ("if known then", "if false then"),
        ("id .. fingerprint", "id"),
        (', "PX", idempotency_ttl', ""),
        (', "PX", ttl + keep', ""),
        ("challenge.expires = now + ttl", "challenge.expires = now + ttl + 1000"),
        ("challenge.deliveries[1].at = now", ""),
        ('redis.call("ZADD", due_key, now, id)', ""),
        ('redis.call("PEXPIRE", due_key, 2 * (ttl + keep))', ""),
        ("2 * (ttl + keep)", "ttl"),
    ],
    "breaker_ask": [
        OFFSET,
        ("breaker.probe = now + lease", ""),
        ("(breaker.probe or 0) - now", "0"),
        ("pause > 0", "false"),
        KEEPTTL,
    ],
    "breaker_tell": [
        OFFSET,
        ("breaker.op == operation", "false"),
        ("breaker.ends and now < breaker.ends", "false"),
        ("breaker.faults >= tolerance", "true"),
        ("math.min(2 * breaker.pause, longest)", "2 * breaker.pause"),
        ("breaker.probe = nil", ""),
        (', "PX", ttl', ""),
    ],
    "end_event": [OFFSET, ('redis.call("ZREM", queue_key, id)', "")],
    "policy_apply": [
        ('redis.call("HGET", key, "op") == operation', "false"),
        ("tonumber(expected) ~= head", "false"),
    ],
    "receive": [
        OFFSET,
        ('string.find(overruled, "," .. mine.status .. ",", 1, true)', "true"),
        ("delivery.uid == upstream_id", "false"),
        ("delivery.ref == reference", "false"),
        ("carrier == account", "true"),
        ("delivery.up or ", ""),
        (" and not challenge.state and now < challenge.expires", ""),
        (" and rests", ""),
        ("< 0 then", "< -9 then"),
        KEEPTTL,
    ],
    "spool": [OFFSET, ("seen[told[1]]", "false"), ('redis.call("PEXPIRE", queue_key, 2 * ttl)', ""), KEEPTTL],
    "take_event": [OFFSET, ("event.op == operation", "false"), ("event.tries = tries + 1", ""), KEEPTTL],
    "refund": [('redis.call("ZREM", log_key, operation)', "0")],
    "release": [
        OFFSET,
        (" or challenge.state", ""),
        (" or challenge.lease ~= operation", ""),
        (' or last.status ~= "claimed"', ""),
        ('last.status = "queued"', ""),
        ("challenge.lease = nil", ""),
        ('redis.call("ZADD", due_key, now, id)', ""),
        KEEPTTL,
    ],
    "resend": [
        OFFSET,
        (" or challenge.app ~= app", ""),
        (" or challenge.state", ""),
        (" or now >= challenge.expires", ""),
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
        ("not challenge.state and", ""),
        (" and challenge.lease == operation", ""),
        ("challenge.lease = nil", ""),
        ('challenge.state = "undeliverable"', ""),
        ("delivery.hash = nil", ""),
        ('redis.call("ZREM", due_key, id)', ""),
        ('last.status = "queued"', ""),
        ("(last.deferrals or 0) + 1", "1"),
        ("delivery.at = now", ""),
        ("math.min(now + pause, deadline)", "now + pause"),
        ('redis.call("ZADD", due_key, deadline, id)', ""),
        KEEPTTL,
    ],
    "spend": [
        (', "NX"', ""),
        ('redis.call("GET", key) == operation and 1 or 0', "0"),
        ('redis.call("GET", key) == operation and 1 or 0', "1"),
        (', "PX", ttl', ""),
    ],
}

# These wake workers up, which the store's tests do not see; breaking them must fail a worker's test.
WAKE_TESTS = ("tests/test_worker.py",)
WAKES: dict[str, list[tuple[str, str]]] = {
    "open": [('redis.call("PUBLISH", wake, partition)', "")],
}


def mutants(only: list[str]) -> list[tuple[Mutant, tuple[str, ...]]]:
    """List all mutants with the tests that must notice."""
    found = [
        (Mutant(script, old, new), tests)
        for table, tests in ((CHANGES, TESTS), (WAKES, WAKE_TESTS))
        for script, changes in table.items()
        for old, new in changes
    ]
    return [(mutant, tests) for mutant, tests in found if not only or mutant.script in only]


def catch(mutant: Mutant, tests: tuple[str, ...]) -> tuple[str, bool]:
    """Break a script on a copy and run the tests; give what failed, or why nothing did, and which of both."""
    with tempfile.TemporaryDirectory(prefix="otp-mutant-") as folder:
        copy = Path(folder)
        for part in ("otp_service", "tests"):
            shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", copy)
        script = copy / "otp_service" / "lua" / f"{mutant.script}.lua"
        source = script.read_text()
        if mutant.old not in source:
            return "this stands nowhere in the script", False
        script.write_text(source.replace(mutant.old, mutant.new))
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-k", f"not {SLOW}", *tests]
        try:
            run = subprocess.run(
                command, cwd=copy, capture_output=True, text=True, check=False, timeout=HANGS_AFTER
            )
        except subprocess.TimeoutExpired:
            return "the tests hung", True
        if run.returncode == 1:
            noticed = re.search(r"^(?:FAILED|ERROR) \S*::(\S+)", run.stdout, re.MULTILINE)
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

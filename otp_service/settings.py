"""Process settings: the only reader of the environment.

Each setting is a variable `OTP_*`, or a file named by `OTP_*_FILE`. They are read once; every mistake is
reported together. Knows nothing of what the values are used for beyond their form.
"""

import base64
import binascii
import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any

from otp_service.durations import read_duration
from otp_service.errors import ConfigurationError

KEY_BYTES = 32
SHARED_METRICS = "PROMETHEUS_MULTIPROC_DIR"
"""The Prometheus client reads this variable when it is imported: a folder that processes share."""
MAX_PORT = 65535
UPSTREAM_PREFIX, EVENTS_PREFIX = "OTP_UPSTREAM_", "OTP_EVENTS_"
"""How the names of secrets start that the policy chooses."""
LOG_LEVELS = ("debug", "info", "warning", "error")
PROFILES = ("owasp", "owasp-low-memory", "fast")
URL_SCHEMES = (
    "redis",
    "rediss",
    "unix",
    "redis+sentinel",
    "rediss+sentinel",
    "redis+cluster",
    "rediss+cluster",
)


class _ProblemError(ValueError):
    """A value breaks the rule that the text states."""


def _key(text: str) -> bytes:
    # Python's decoder skips signs that are none of its own.
    if not re.fullmatch(r"[A-Za-z0-9+/_-]*={0,2}", text):
        raise _ProblemError("must be base64url")
    try:
        key = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        raise _ProblemError("must be base64url") from None
    if len(key) != KEY_BYTES:
        raise _ProblemError(f"must hold {KEY_BYTES} bytes, holds {len(key)}; otp-service secrets makes one")
    return key


def _ring(text: str) -> dict[str, bytes]:
    """Read keys by their id, the current one first."""
    ring: dict[str, bytes] = {}
    for item in filter(None, text.replace("\n", ",").replace(" ", "").split(",")):
        name, colon, value = item.partition(":")
        if not colon or not re.fullmatch(r"[A-Za-z0-9_-]{1,16}", name):
            raise _ProblemError("must be ID:KEY[,ID:KEY...], newest first, ids of letters and digits")
        if name in ring:
            raise _ProblemError(f"names the id {name} twice")
        ring[name] = _key(value)
    if not ring:
        raise _ProblemError("must name at least one key as ID:KEY")
    return ring


def _redis_url(text: str) -> str:
    scheme, colon, rest = text.partition("://")
    if not colon or scheme not in URL_SCHEMES:
        raise _ProblemError(f"must start with one of {', '.join(f'{s}://' for s in URL_SCHEMES)}")
    address, _, path = rest.partition("?")[0].partition("/")
    if scheme == "unix":
        if not path:
            raise _ProblemError("must name the socket's file, as in unix:///run/redis.sock")
        return text
    for host in address.rpartition("@")[2].split(","):
        if not re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^\[\]:\s]+)(:[0-9]{1,5})?", host):
            raise _ProblemError(f"must name hosts as HOST or HOST:PORT, as in {scheme}://HOST:6379")
    if scheme.endswith("+sentinel") and not path.partition("/")[0]:
        raise _ProblemError(f"must end with the name of the service, as in {scheme}://HOSTS/NAME")
    return text


def _number(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text) or not low <= int(text) <= high:
            raise _ProblemError(f"must be a whole number from {low} to {high}")
        return int(text)

    return parse


def _duration(low: str, high: str) -> Callable[[str], int]:
    """Read a time such as 10m, 24h or 4d; gives seconds."""
    shortest, longest = read_duration(low), read_duration(high)

    def parse(text: str) -> int:
        try:
            return read_duration(text, units="mhd", max_digits=4, shortest=shortest, longest=longest)
        except ValueError:
            raise _ProblemError(f"must be a time from {low} to {high}, as in 10m, 24h or 4d") from None

    return parse


def _choice(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            raise _ProblemError(f"must be one of {', '.join(choices)}")
        return text

    return parse


def _yes_no(text: str) -> bool:
    return _choice("yes", "no")(text) == "yes"


def _text(text: str) -> str:
    if not text:
        raise _ProblemError("must not be empty")
    return text


def _publishable(text: str) -> str:
    if not re.fullmatch(r"(pk_[A-Za-z0-9_-]{1,128})?", text):
        raise _ProblemError("must be a publishable key, pk_...: a page shows it to everyone")
    return text


def _prefix(text: str) -> str:
    # Braces would take the keys of a challenge apart in a cluster.
    if not re.fullmatch(r"[A-Za-z0-9:._-]{1,64}", text):
        raise _ProblemError("must be 1 to 64 letters, digits, ':', '.', '_' or '-'")
    return text


def _listen(text: str) -> str:
    match = re.fullmatch(r"(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+):([0-9]{1,5})", text)
    if not match or int(match[1]) > MAX_PORT:
        raise _ProblemError(f"must be HOST:PORT, a port being 0 to {MAX_PORT}")
    return text


def _other_listen(text: str) -> str:
    if text and _port(_listen(text)) == 0:
        raise _ProblemError("must name its port, by which it is known")
    return text


def _port(listen: str) -> int:
    return int(listen.rpartition(":")[2])


def _setting(
    parse: Callable[[str], Any], about: str, *, default: str | None = None, secret: bool = False
) -> Any:  # noqa: ANN401 - dataclasses.field is typed so
    """Declare a setting. `default` is parsed like any value; without one the setting is required."""
    return field(repr=not secret, metadata={"parse": parse, "about": about, "default": default})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What one process needs to know. Secrets never show in its repr."""

    redis_url: str = _setting(
        _redis_url, "where Redis or Valkey is; redis, rediss, unix, +sentinel or +cluster", secret=True
    )
    policy_file: str = _setting(
        str, "the policy to begin with, while the store holds none; a TOML document", default=""
    )
    issuer: str = _setting(_text, "`iss` of verification tokens: this service's public URL")
    peppers: Mapping[str, bytes] = _setting(
        _ring, "HMAC keys of the codes, `ID:KEY,...`, newest first", secret=True
    )
    number_keys: Mapping[str, bytes] = _setting(
        _ring, "AES-256 keys that seal numbers, newest first", secret=True
    )
    lookup_keys: Mapping[str, bytes] = _setting(
        _ring, "HMAC keys under which numbers are looked up, newest first", secret=True
    )
    subject_key: bytes = _setting(
        _key, "HMAC key of the `sub` of verification tokens; the same for good", secret=True
    )
    signing_keys: Mapping[str, bytes] = _setting(
        _ring, "Ed25519 seeds that sign verification tokens, newest first", secret=True
    )
    hash_profile: str = _setting(_choice(*PROFILES), "Argon2 profile of new codes", default="owasp")
    redis_prefix: str = _setting(_prefix, "first part of every key in Redis", default="otp")
    partitions: int = _setting(
        _number(1, 256), "slots that challenges are spread over; the same everywhere, for good", default="64"
    )
    keep_challenges: int = _setting(
        _duration("1m", "24h"), "how long challenges are kept after their expiry", default="10m"
    )
    keep_idempotency: int = _setting(
        _duration("10m", "7d"), "how long an Idempotency-Key counts", default="24h"
    )
    keep_events: int = _setting(
        _duration("1h", "14d"), "how long an event is kept that its app does not take", default="4d"
    )
    listen: str = _setting(_listen, "where the API listens", default="127.0.0.1:8000")
    ops_listen: str = _setting(
        _other_listen, "where /ops and /metrics are, and nowhere else; empty is with the API", default=""
    )
    processes: int = _setting(_number(1, 64), "API processes", default="2")
    threads: int = _setting(_number(1, 256), "threads in each API process", default="16")
    trusted_proxies: int = _setting(
        _number(0, 8), "proxies in front, each adding to X-Forwarded-For", default="0"
    )
    worker_sends: int = _setting(_number(1, 128), "sends that one worker runs at once", default="64")
    worker_name: str = _setting(str, "stable name of this worker; empty is the host's name", default="")
    worker_metrics: int = _setting(
        _number(0, MAX_PORT), "port where a worker shows its metrics; 0 is none", default="0"
    )
    private_events: bool = _setting(
        _yes_no, "whether events may go to private addresses, as in a closed network", default="no"
    )
    captcha_secret: str = _setting(
        str, "secret of the CAPTCHA vendor that the policy names, for its siteverify", default="", secret=True
    )
    example_key: str = _setting(
        _publishable, "publishable key that the example page at /try uses; empty is no page", default=""
    )
    log_level: str = _setting(_choice(*LOG_LEVELS), "least level that is logged", default="info")
    upstream_tokens: Mapping[str, str] = field(repr=False, default_factory=dict)
    event_secrets: Mapping[str, str] = field(repr=False, default_factory=dict)

    @property
    def ops_port(self) -> int | None:
        """The port of operators alone, if there is one."""
        return _port(self.ops_listen) if self.ops_listen else None


def variables() -> list[tuple[str, str, str | None]]:
    """Each setting as (variable, what it is, default or None where required)."""
    return [(_variable(f.name), f.metadata["about"], f.metadata["default"]) for f in _declared()]


def read(environment: Mapping[str, str]) -> Settings:
    """Read all settings.

    Raises ConfigurationError naming every variable that is missing, wrong, doubled or unknown.
    """
    values: dict[str, Any] = {}
    problems: list[str] = []
    for setting in _declared():
        try:
            values[setting.name] = _value(environment, setting)
        except _ProblemError as problem:
            problems.append(f"{_variable(setting.name)} {problem}")
    problems += _same_port(values)
    tokens = _named(environment, UPSTREAM_PREFIX, problems)
    secrets = _named(environment, EVENTS_PREFIX, problems)
    problems += _unknown(environment)
    if problems:
        raise ConfigurationError(problems)
    return Settings(**values, upstream_tokens=tokens, event_secrets=secrets)


def _same_port(values: Mapping[str, Any]) -> list[str]:
    """Find two listeners that only their hosts tell apart; a request is known by the port it came to."""
    listen, other = values.get("listen"), values.get("ops_listen")
    if listen and other and _port(listen) in {0, _port(other)}:
        return [f"OTP_OPS_LISTEN must have another port than OTP_LISTEN, which is {_port(listen)}"]
    return []


def _named(environment: Mapping[str, str], prefix: str, problems: list[str]) -> dict[str, str]:
    """Read the variables that start so, whose names the policy chooses."""
    found: dict[str, str] = {}
    for name in sorted({n.removesuffix("_FILE") for n in environment if n.startswith(prefix)}):
        try:
            found[name] = _raw(environment, name) or ""
        except _ProblemError as problem:
            problems.append(f"{name} {problem}")
    return found


def _declared() -> list[Field[Any]]:
    return [f for f in fields(Settings) if f.metadata]


def _value(environment: Mapping[str, str], setting: Field[Any]) -> Any:  # noqa: ANN401 - as the setting parses
    text = _raw(environment, _variable(setting.name))
    if text is None:
        text = setting.metadata["default"]
    if text is None:
        raise _ProblemError(f"is required: {setting.metadata['about']}")
    return setting.metadata["parse"](text)


def _variable(name: str) -> str:
    return f"OTP_{name.upper()}"


def _raw(environment: Mapping[str, str], name: str) -> str | None:
    """Give the variable's text, or that of the file which NAME_FILE names, without the final newline."""
    file = environment.get(f"{name}_FILE")
    if file is None:
        return environment.get(name)
    if name in environment:
        raise _ProblemError(f"and {name}_FILE are both set: keep one")
    try:
        return Path(file).read_text(encoding="utf-8").rstrip("\n")
    except (OSError, UnicodeDecodeError):
        raise _ProblemError(f"cannot be read from the file that {name}_FILE names") from None


def _unknown(environment: Mapping[str, str]) -> list[str]:
    known = {name for name, _, _ in variables()}
    problems = []
    for name in sorted(environment):
        plain = name.removesuffix("_FILE")
        named = name.startswith((UPSTREAM_PREFIX, EVENTS_PREFIX))
        if name.startswith("OTP_") and not named and not {name, plain} & known:
            close = difflib.get_close_matches(name, sorted(known | {f"{n}_FILE" for n in known}), 1)
            problems.append(f"{name} is not a setting" + (f"; did you mean {close[0]}?" if close else ""))
    return problems

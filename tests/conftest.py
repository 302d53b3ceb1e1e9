"""Fixtures that most tests share: a real store, a real sandbox upstream, and the product's core between them."""

import base64
import secrets
from collections.abc import Iterator

import hypothesis
import pytest
from flask.testing import FlaskClient

from otp_service.access.api_keys import digest
from otp_service.bootstrap.configuration import Configuration, PolicyFile
from otp_service.bootstrap.core import Core
from otp_service.bootstrap.stores import Stores
from otp_service.http import app as http_app
from otp_service.settings import Settings
from otp_service.verification.caller import Caller
from tests.support.deployments import Cluster
from tests.support.examples import PROFILE
from tests.support.patience import PATIENT_LIMITS
from tests.support.spine import open_store
from tests.support.valkey_server import ValkeyServer

hypothesis.settings.load_profile(PROFILE)

LONGEST_FIRST = ("system", "prove", "soak", "release", "demo", "store", "delivery", "mobtexting", "net")
"""Folders whose tests work or wait for long, so that their files must not begin when all others have ended."""

PUBLISHABLE, SECRET, OPS = "pk_test-publishable-key", "sk_test-secret-key", "ops_test-operators-key"
OTHER_SECRET = "sk_test-of-another-app"
ORIGIN = "https://app.example.com"
UPSTREAM_TOKEN = "0123456789abcdef0123456789abcdef"

POLICY = f"""guard.countries.allow = ["*"]
[app.web]
brand = "Acme"
origins = ["{ORIGIN}"]
publishable_keys = ["{digest(PUBLISHABLE)}"]
secret_keys = ["{digest(SECRET)}"]

[app.other]
brand = "Other"
secret_keys = ["{digest(OTHER_SECRET)}"]

[operator.anna]
keys = ["{digest(OPS)}"]

[upstream.main]
kind = "mobtexting"
base_url = "UPSTREAM/api/v2/"
token_env = "OTP_UPSTREAM_MAIN_TOKEN"
connect_timeout = 5.0
total_timeout = 6.0
sms = {{ service = "T", sender = "ACMEIN", entity_id = "1101", template_id = "1107001" }}

[[route]]
steps = [{{ channel = "sms", upstream = "main", wait = "5s" }}]
"""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let the longest files begin first if several processes share them; one process keeps the order it was given."""
    if not hasattr(config, "workerinput"):
        return
    folders = [*LONGEST_FIRST, ""]
    items.sort(key=lambda item: folders.index(name if (name := item.path.parent.name) in folders else ""))


@pytest.fixture(scope="session")
def valkey() -> Iterator[ValkeyServer]:
    """One real server for all tests of this process; each test has keys of its own."""
    server = ValkeyServer(options={"appendonly": "no"})
    yield server
    server.close()


@pytest.fixture
def store(valkey: ValkeyServer) -> Iterator[Stores]:
    """Give the stores of a deployment with keys of its own."""
    with open_store(valkey) as made:
        yield made


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A cluster of three real nodes; each test has keys of its own."""
    made = Cluster()
    yield made
    made.close()


def make_settings(redis_url: str, **changes: object) -> Settings:
    """Give settings as a test needs them: the cheapest hash, keys and prefix of their own."""
    values: dict[str, object] = {
        "redis_url": redis_url,
        "policy_file": "unused",
        "issuer": "https://otp.example.com",
        "peppers": {"p1": secrets.token_bytes(32)},
        "number_keys": {"n1": secrets.token_bytes(32)},
        "lookup_keys": {"l1": secrets.token_bytes(32)},
        "subject_key": secrets.token_bytes(32),
        "signing_keys": {"s1": secrets.token_bytes(32)},
        "device_keys": {"d1": secrets.token_bytes(32)},
        "hash_profile": "testing",
        "redis_prefix": f"t{secrets.token_hex(6)}",
        "redis_wait_replicas": 0,
        "redis_wait_ms": 400,
        "partitions": 4,
        "keep_challenges": 600,
        "keep_idempotency": 86_400,
        "keep_events": 4 * 86_400,
        "keep_history": 7 * 86_400,
        "history_memory": 256 * 1024**2,
        "listen": "127.0.0.1:0",
        "ops_listen": "",
        "processes": 1,
        "threads": 16,
        "trusted_proxies": 0,
        "worker_processes": 1,
        "worker_sends": 16,
        "worker_name": "test",
        "worker_metrics": "",
        "worker_silence": 10,
        "send_wait": 5,
        "private_events": True,
        "captcha_secret": "",
        "log_level": "info",
        "event_secrets": {"OTP_EVENTS_SPARE": f"whsec_{base64.b64encode(bytes(32)).decode()}"},
        "upstream_tokens": {"OTP_UPSTREAM_MAIN_TOKEN": UPSTREAM_TOKEN},
    }
    return Settings(**{**values, **changes})  # type: ignore[arg-type]


def make_core(redis_url: str, upstream_url: str, *, text: str = POLICY, **changes: object) -> Core:
    """Build the product's core on a store and an upstream."""
    text = text.replace("UPSTREAM/", f"{upstream_url}/")
    read = make_settings(redis_url, **changes)
    return Core(
        Configuration(read, PolicyFile.parse(text)),
        threads=16,
        hash_slots=2,
        role="test",
        limits=PATIENT_LIMITS,
    )


@pytest.fixture
def core(valkey: ValkeyServer) -> Iterator[Core]:
    """The product's core with an upstream that nobody answers for; move its time by `core.scripts.offset`."""
    made = make_core(valkey.url, "http://127.0.0.1:9")
    yield made
    made.close()


@pytest.fixture
def client(core: Core) -> FlaskClient:
    """A client of the HTTP API on that core."""
    core.live_keys.refresh()
    return http_app.web(core).test_client()


@pytest.fixture
def caller(core: Core) -> Caller:
    """A server of the app `web`."""
    return Caller(app=core.policy.apps["web"], active=core.active(), request_id="0123456789abcdef")

"""The composition root: settings and policy become a running application or worker. Knows all classes."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from otp_service import edge, policy, settings
from otp_service.api import api
from otp_service.codes import Hasher
from otp_service.connection import Scripts, connect
from otp_service.errors import ConfigurationError
from otp_service.mobtexting import Account, Client, SmsSender
from otp_service.ops import ops
from otp_service.policy import Policy, Upstream
from otp_service.seal import Seal
from otp_service.service import Sender, Service
from otp_service.settings import Settings
from otp_service.store import Store
from otp_service.telemetry import Metrics
from otp_service.tokens import Signer

SPARE_CONNECTIONS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Core:
    """The parts that every process of the product shares."""

    settings: Settings
    policy: Policy
    metrics: Metrics
    scripts: Scripts
    store: Store
    signer: Signer
    clients: Mapping[str, Client]
    service: Service


def configure(environment: Mapping[str, str]) -> tuple[Settings, Policy]:
    """Read settings and policy. Raises ConfigurationError with every problem of both."""
    problems: list[str] = []
    read: Settings | None = None
    loaded: Policy | None = None
    try:
        read = settings.read(environment)
    except ConfigurationError as error:
        problems += error.problems
    if file := read.policy_file if read else environment.get("OTP_POLICY_FILE"):
        try:
            loaded = policy.parse(Path(file).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError):
            problems.append("OTP_POLICY_FILE names a file that cannot be read")
        except ConfigurationError as error:
            problems += error.problems
    if loaded:
        problems += _account_problems(loaded, read, environment)
    if problems or read is None or loaded is None:
        raise ConfigurationError(problems)
    return read, loaded


def _account_problems(loaded: Policy, read: Settings | None, environment: Mapping[str, str]) -> Iterator[str]:
    """Name upstream accounts that lack their token, also while other settings are wrong, or cannot work."""
    for upstream in loaded.upstreams.values():
        name = upstream.token_env
        token = (
            read.upstream_tokens.get(name)
            if read
            else environment.get(name) or environment.get(f"{name}_FILE")
        )
        if not token:
            yield f"{name} is required: the token of upstream.{upstream.name}"
        elif read:
            try:
                _account(upstream, token, 1)
            except ValueError as error:
                yield f"policy: upstream.{upstream.name}: {error}"


def build(
    read: Settings, loaded: Policy, *, threads: int, hash_slots: int, role: str, offset: int = 0
) -> Core:
    """Put the parts together for a process of `threads` threads that hashes `hash_slots` codes at once.

    Nothing is connected yet. `offset` moves the store's clock (milliseconds): zero but in tests.
    """
    metrics = Metrics()
    scripts = Scripts(
        partial(connect, read.redis_url, connections=threads + SPARE_CONNECTIONS, name=f"otp-{role}"),
        metrics.observe_store,
    )
    store = Store(scripts, prefix=read.redis_prefix, partitions=read.partitions, offset=offset)
    signer = Signer(read.signing_keys, read.issuer)
    clients = {
        name: Client(_account(upstream, read.upstream_tokens[upstream.token_env], threads))
        for name, upstream in loaded.upstreams.items()
    }
    service = Service(
        policy=lambda: loaded,
        store=store,
        hasher=Hasher(read.peppers, read.hash_profile, hash_slots),
        seal=Seal(read.number_keys, read.lookup_key),
        signer=signer,
        senders=_senders(loaded, clients),
        metrics=metrics,
    )
    return Core(
        settings=read,
        policy=loaded,
        metrics=metrics,
        scripts=scripts,
        store=store,
        signer=signer,
        clients=clients,
        service=service,
    )


def _account(upstream: Upstream, token: str, threads: int) -> Account:
    return Account(
        name=upstream.name,
        base_url=upstream.base_url,
        token=token,
        auth=upstream.auth,
        sms_path=upstream.sms_path,
        balance_paths=upstream.balance_paths,
        connect_timeout=upstream.connect_timeout,
        total_timeout=upstream.total_timeout,
        pool_size=threads,
    )


def _senders(loaded: Policy, clients: Mapping[str, Client]) -> dict[tuple[str, str], Sender]:
    return {
        ("sms", name): partial(clients[name].send_sms, sender=SmsSender(**asdict(upstream.sms)))
        for name, upstream in loaded.upstreams.items()
        if upstream.sms
    }


def cores() -> int:
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def create_app(environment: Mapping[str, str] | None = None) -> Flask:
    """Make the WSGI application from the environment. Raises ConfigurationError."""
    surroundings = os.environ if environment is None else environment
    return prepared(*configure(surroundings), shared_metrics=bool(surroundings.get(settings.SHARED_METRICS)))


def prepared(read: Settings, loaded: Policy, *, shared_metrics: bool) -> Flask:
    """Make the WSGI application of one API process."""
    core = build(read, loaded, threads=read.threads, hash_slots=max(1, cores() // read.processes), role="api")
    return web(core, lambda: core.metrics.page(shared=shared_metrics))


def web(core: Core, metrics_page: Callable[[], bytes]) -> Flask:
    """Make the WSGI application of a core."""
    app = Flask("otp_service", static_folder=None)
    app.extensions["otp"] = edge.Parts(
        policy=lambda: core.policy,
        service=core.service,
        signer=core.signer,
        metrics=core.metrics,
        accounts=core.clients,
        pings={"store": core.store.ping},
        metrics_page=metrics_page,
    )
    edge.install(app)
    app.register_blueprint(api)
    app.register_blueprint(ops)
    if proxies := core.settings.trusted_proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=proxies, x_proto=0, x_host=0)  # type: ignore[method-assign]
    return app

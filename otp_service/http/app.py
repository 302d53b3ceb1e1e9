"""The WSGI application: a core and the views over it.

Knows every blueprint. Must not know how a core is built.
"""

import os
from collections.abc import Callable, Mapping

from flask import Flask

from otp_service import settings
from otp_service.bootstrap.activation import configure
from otp_service.bootstrap.configuration import Configuration
from otp_service.bootstrap.core import Core, cores
from otp_service.http import edge
from otp_service.http.ops.access import ops_keys
from otp_service.http.ops.guard import ops_guard
from otp_service.http.ops.policy import ops
from otp_service.http.pages import example, widget
from otp_service.http.public import api
from otp_service.http.receipts import webhooks


def create_app(environment: Mapping[str, str] | None = None) -> Flask:
    """Make the WSGI application from the environment. Raises ConfigurationError."""
    surroundings = os.environ if environment is None else environment
    return prepared(configure(surroundings), shared_metrics=bool(surroundings.get(settings.SHARED_METRICS)))


def prepared(configuration: Configuration, *, shared_metrics: bool) -> Flask:
    """Make the WSGI application of one API process."""
    read = configuration.settings
    core = Core(configuration, threads=read.threads, hash_slots=max(1, cores() // read.processes), role="api")
    core.follow()
    core.follow_keys()
    return web(core, lambda: core.metrics.page(shared=shared_metrics))


def web(core: Core, metrics_page: Callable[[], bytes]) -> Flask:
    """Make the WSGI application of a core."""
    app = Flask("otp_service", static_folder=None)
    app.extensions["otp"] = edge.Parts(
        active=core.active,
        send=core.send,
        resend=core.resend,
        check=core.check,
        manage=core.manage,
        receipts=core.receipts,
        replies=core.replies,
        erasure=core.erasure,
        signer=core.signer,
        metrics=core.metrics,
        policies=core.policies,
        apps=core.apps,
        keyring=core.keyring,
        live_keys=core.live_keys,
        check_policy=core.activation.check,
        breakers=core.breakers,
        conversion=core.conversion,
        admission=core.admission,
        blocks=core.blocks,
        store=core.store,
        pings={"store": core.store.facts.ping},
        metrics_page=metrics_page,
        trusted_proxies=core.settings.trusted_proxies,
        ops_port=core.settings.ops_port,
    )
    edge.install(app)
    for blueprint in (api, webhooks, ops, ops_guard, ops_keys, widget):
        app.register_blueprint(blueprint)
    if key := core.settings.example_key:
        app.register_blueprint(example(key))
    return app

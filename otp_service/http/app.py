"""The WSGI application: a core and the views on top of it.

Knows every blueprint. Must not know how a core is built.
"""

import os
from collections.abc import Mapping

from flask import Flask
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from otp_service import settings
from otp_service.bootstrap.activation import configure
from otp_service.bootstrap.configuration import Configuration
from otp_service.bootstrap.core import Core
from otp_service.http import middleware, public, receipts
from otp_service.http.console import site
from otp_service.http.ops import access, challenges, figures, guard, numbers, policy, upstreams
from otp_service.http.pages import errors, scripts
from otp_service.ops.hash_speed import usable_cores
from otp_service.ops.places import OPS_PLACES


def create_app(environment: Mapping[str, str] | None = None) -> Flask:
    """Make the WSGI application from the environment. Raises ConfigurationError."""
    surroundings = os.environ if environment is None else environment
    return prepared(configure(surroundings), shared_metrics=bool(surroundings.get(settings.SHARED_METRICS)))


def prepared(configuration: Configuration, *, shared_metrics: bool) -> Flask:
    """Make the WSGI application of one API process."""
    read = configuration.settings
    threads = read.threads + OPS_PLACES
    core = Core(
        configuration, threads=threads, hash_slots=max(1, usable_cores() // read.processes), role="api"
    )
    core.follow()
    core.follow_keys()
    core.journal.follow()
    core.workers.follow()
    core.send_wait.follow()
    core.refunds.follow()
    core.teller.follow()
    return web(core, shared_metrics=shared_metrics)


def web(core: Core, *, shared_metrics: bool = False) -> Flask:
    """Make the WSGI application of a core; with `shared_metrics`, /metrics shows those of all processes."""
    app = Flask("otp_service", static_folder=None)
    app.extensions["otp"] = core
    app.config["SHARED_METRICS"] = shared_metrics
    middleware.install(app)
    modules = (public, receipts, policy, upstreams, figures, challenges, numbers, guard, access)
    for module in (*modules, scripts, errors):
        app.register_blueprint(module.views)
    app.register_blueprint(site.console())
    return app


def mount(app: Flask, prefix: str, other: Flask) -> Flask:
    """Let another application answer everything below a path."""
    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {prefix: other})  # type: ignore[method-assign]
    return app

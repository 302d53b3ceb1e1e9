"""An app's site with `<otp-form>`, before the real service: API, worker, upstream and store, each over real HTTP.

The site has an origin of its own and the strictest Content-Security-Policy that docs/integrate/form.md tells of, so
that each test is one of an integration, too.
"""

import re
import secrets
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from html import escape
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

import requests
from flask import Flask, Response, request
from playwright.sync_api import Locator, Page, Route, expect

from otp_service.access.api_keys import digest
from otp_service.bootstrap.core import Core
from otp_service.delivery.worker import Worker
from otp_service.http import app as http_app
from otp_service.sandbox import Outcome, create_sandbox
from otp_service.sandbox.outcomes import Selection
from tests.conftest import PUBLISHABLE, SECRET, UPSTREAM_TOKEN, make_core
from tests.support.numbers import DELIVERED
from tests.support.patience import PATIENCE, until
from tests.support.ports import free_port
from tests.support.sandbox_server import Serving, usual
from tests.support.spine import OPEN_GUARD, seen
from tests.support.valkey_server import ValkeyServer

WEBHOOK_SECRET = "whs_test-of-the-form"
NUMBER, SPELLED = DELIVERED, "+1 202 555 0100"
CHANNELS = ("sms", "whatsapp", "voice")
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)

_POLICY = """guard.countries.allow = ["*"]
[app.web]
brand = "Acme"
origins = ["{origin}"]
publishable_keys = ["{publishable}"]
secret_keys = ["{secret}"]

[challenge]
ttl = "{ttl}"
cooldown = ["{cooldown}"]
max_sends = 6

[upstream.main]
kind = "mobtexting"
base_url = "UPSTREAM/api/v2/"
token_env = "OTP_UPSTREAM_MAIN_TOKEN"
connect_timeout = 5.0
total_timeout = 6.0
tolerance = 100
sms = {{ service = "T", sender = "ACMEIN", entity_id = "1101", template_id = "1107001" }}
whatsapp = {{ sender = "919000000001", template = "otp_login" }}
voice = {{ bridge = "918045000001" }}

[upstream.main.receipts]
secrets = ["{webhook}"]

[[route]]
steps = [
  {{ channel = "sms", upstream = "main", wait = "30s" }},
  {{ channel = "whatsapp", upstream = "main", wait = "30s" }},
  {{ channel = "voice", upstream = "main", wait = "30s" }},
]
{guard}
"""


@dataclass
class FormSite:
    """The site, the service behind it, and what arrived on phones."""

    core: Core
    sandbox: Flask
    service: str
    url: str
    asked: list[str] = field(default_factory=list)
    """Every address that the site was asked for."""
    posted: list[dict[str, str]] = field(default_factory=list)
    """Every form that was posted to the site."""

    def address(self, *, inside: str = "", around: str = "", lang: str = "en", **attributes: str) -> str:
        """Give the address of a page with a form that has these attributes."""
        query = {"inside": inside, "around": around, "lang": lang, **attributes}
        return f"{self.url}/page?{urlencode(query)}"

    def open(self, page: Page, **options: str) -> Page:
        """Open a page with a form, and wait until the form is there, in its own words however late these come."""
        page.add_init_script("AbortSignal.timeout = () => new AbortController().signal;")
        page.goto(self.address(**options))
        expect(page.locator("otp-form .otp-button")).to_be_visible()
        return page

    def sent(self, page: Page, number: str = SPELLED, **options: str) -> Page:
        """Open a page, type a number and come to the step of the code."""
        self.open(page, **options)
        to_field(page).fill(number)
        page.keyboard.press("Enter")
        expect(code_field(page)).to_be_focused()
        return page

    def inbox(self, to: str = NUMBER) -> list[dict[str, Any]]:
        """List what arrived for a number, newest first."""
        query = {"to": to.replace(" ", "")}
        rows: list[dict[str, Any]] = self.sandbox.test_client().get("/inbox", query_string=query).json or []
        return rows

    def code(self, to: str = NUMBER, count: int = 1) -> str:
        """Wait until `count` messages have arrived and give the newest code."""
        until(lambda: len(self.inbox(to)) >= count, progress=lambda: len(self.inbox(to)))
        code: str = self.inbox(to)[0]["code"]
        return code

    def send_by_server(self, to: str = NUMBER, **fields: object) -> str:
        """Start a challenge with the secret key, as a backend does; gives its id."""
        headers = {"Authorization": f"Bearer {SECRET}"}
        answer = requests.post(
            f"{self.service}/otp/send", json={"to": to, **fields}, headers=headers, timeout=PATIENCE
        )
        assert answer.status_code == HTTPStatus.ACCEPTED, answer.text
        challenge_id: str = answer.json()["challenge_id"]
        return challenge_id

    def outcome(self, channel: str, outcome: Outcome, to: str = "*") -> None:
        """Let messages end in an outcome."""
        self.sandbox.extensions["sandbox"].outcomes.force(Selection(to.lstrip("+"), channel), outcome)

    def later(self, seconds: float) -> None:
        """Move the service's clock."""
        self.core.scripts.offset += int(seconds * 1000)

    def near_end(self, page: Page, seconds: int = 55) -> None:
        """Move the service's clock to so many seconds before a page's challenge ends, however long it has run."""
        [id_] = page.evaluate("Object.values(sessionStorage)")
        ends, now = seen(self.core.store, id_).expires, self.core.store.facts.time()
        self.core.scripts.offset += ends - 1000 * seconds - now

    def is_at_rest(self) -> bool:
        """Say whether no message is due or on its way: read in this order, as one that is due goes on its way."""
        due = self.core.store.due
        waiting = sum(due.waiting(due.partitions(), self.core.store.facts.time()))
        under_way = self.core.metrics.registry.get_sample_value("otp_in_flight", {"queue": due.name})
        return not waiting and not under_way

    def wait_for(self, *paths: str) -> None:
        """Wait until the site was asked for paths."""
        until(lambda: set(paths) <= set(self.asked))


def to_field(page: Page) -> Locator:
    """Find the field of the number."""
    return page.locator("otp-form input[type=tel]")


def code_field(page: Page) -> Locator:
    """Find the field of the code."""
    return page.locator("otp-form input[autocomplete=one-time-code]")


def watch_calls(page: Page) -> None:
    """Note in each page that opens what it asks for, at the moment at which it does so; `asked_for` gives it."""
    page.add_init_script("""
      window.asked = [];
      const send = window.fetch;
      window.fetch = (input, init) => {
        asked.push(`${init?.method ?? "GET"} ${String(input).split("/").at(-1)}`);
        return send(input, init);
      };
    """)


def stop_clock(page: Page) -> None:
    """Let time pass in the pages that open only by `page.clock.run_for`."""
    page.clock.install(time=NOON)
    page.clock.pause_at(NOON + timedelta(hours=1))


def wait_for_answers(page: Page) -> None:
    """Let each page that opens wait for answers for as long as they take: no request is repeated for being late."""
    page.add_init_script("""
      const later = window.setTimeout;
      window.setTimeout = (act, wait, ...more) => (wait >= 8000 ? 0 : later(act, wait, ...more));
    """)


def asked_for(page: Page, what: str) -> int:
    """Count the calls that the page has made whose method or last part of the path is this."""
    count: int = page.evaluate("what => asked.filter((one) => one.split(' ').includes(what)).length", what)
    return count


def wrong(code: str, step: int = 1) -> str:
    """Give another code of the same length."""
    return f"{(int(code) + step) % 10 ** len(code):0{len(code)}d}"


@contextmanager
def form_site(
    valkey: ValkeyServer, *, ttl: str = "5m", cooldown: str = "30s", guard: str = OPEN_GUARD
) -> Iterator[FormSite]:
    """Start everything on free ports of loopback."""
    api_port, site_port = free_port(), free_port()
    site_url, service = f"http://127.0.0.1:{site_port}", f"http://127.0.0.1:{api_port}"
    sandbox = create_sandbox(
        usual(
            tokens=frozenset({UPSTREAM_TOKEN}),
            report_url=f"{service}/webhooks/mobtexting/main",
            report_secret=WEBHOOK_SECRET,
            report_delay=0.05,
        )
    )
    text = _POLICY.format(
        origin=site_url,
        publishable=digest(PUBLISHABLE),
        secret=digest(SECRET),
        webhook=digest(WEBHOOK_SECRET),
        ttl=ttl,
        cooldown=cooldown,
        guard=guard,
    )
    with closing(Serving(sandbox)) as upstream:
        core = make_core(valkey.url, upstream.url, text=text)
        site = FormSite(core, sandbox, service, site_url)
        worker = Worker(
            queue=core.store.due,
            membership=core.store.membership(core.store.due),
            scripts=core.scripts,
            handle=core.dispatcher.dispatch,
            metrics=core.metrics,
            name="form",
            at_once=4,
        )
        running = threading.Thread(target=worker.run, daemon=True)
        running.start()
        with (
            closing(core),
            closing(Serving(http_app.web(core), api_port)),
            closing(Serving(_site(site), site_port)),
        ):
            yield site
            worker.stop()
            running.join(PATIENCE)
            sandbox.extensions["sandbox"].close()


def _site(site: FormSite) -> Flask:
    flask = Flask("site")

    @flask.before_request
    def remember() -> None:
        site.asked.append(request.full_path)

    @flask.get("/page")
    def page() -> Response:
        return _page(site, **request.args.to_dict())

    @flask.post("/done")
    def done() -> str:
        site.posted.append(request.form.to_dict())
        return "<!DOCTYPE html><title>Done</title><p>Welcome</p>"

    @flask.get("/elsewhere")
    def elsewhere() -> str:
        return "<!DOCTYPE html><title>Elsewhere</title><p>Elsewhere</p>"

    return flask


def _page(
    site: FormSite, inside: str, around: str, lang: str, script: str = "", **attributes: str
) -> Response:
    nonce = secrets.token_urlsafe(9)
    given = {"key": PUBLISHABLE, **{name.replace("_", "-"): value for name, value in attributes.items()}}
    named = " ".join(f'{name}="{escape(value)}"' for name, value in given.items())
    form = f"<otp-form {named}>{inside}</otp-form>"
    if around:
        hidden = f'<input type="hidden" name="plan" value="{escape(around)}">'
        form = f'<form method="post" action="/done">{hidden}{form}</form>'
    more = f'<script src="{escape(script)}" defer></script>' if script else ""
    theme = re.sub(r"[^a-z]", "", attributes.get("theme", ""))
    body = f"""<!DOCTYPE html>
<html lang="{escape(lang)}" dir="{"rtl" if lang == "ar" else "ltr"}"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="csp-nonce" content="{nonce}">
<title>Sign in</title><link rel="icon" href="data:,"><script src="{site.service}/otp.js" defer></script>{more}
<style nonce="{nonce}">:root {{ color-scheme: {theme or "light dark"} }}
body {{ margin: 0; background: light-dark(#f4f6f5, #0c1210) }}
main {{ margin: 64px auto; width: min(400px, 100% - 32px) }}
</style></head><body><main>{form}</main></body></html>"""
    response = Response(body)
    response.headers["Content-Security-Policy"] = (
        f"default-src 'none'; script-src {site.service}; connect-src {site.service}; worker-src blob:; "
        f"style-src 'nonce-{nonce}'; img-src data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
    return response


def cool_down(page: Page, site: FormSite) -> Locator:
    """Wait for the report of the message, let the cooldown pass, and give the button that sends again."""
    expect(page.locator(".otp-lead")).to_contain_text("has arrived")
    site.later(31)
    again = page.get_by_role("button", name="Send again")
    expect(again).to_have_attribute("aria-disabled", "false")
    return again


def drop_answers(page: Page, pattern: str, count: int = 1) -> list[str]:
    """Let the service do what it is asked, and lose its answer, `count` times; gives the keys of all such requests."""
    keys: list[str] = []

    def lose(route: Route) -> None:
        if route.request.method != "POST":
            route.continue_()
            return
        keys.append(route.request.headers.get("idempotency-key", ""))
        if len(keys) <= count:
            route.fetch()
            route.abort()
        else:
            route.continue_()

    page.route(re.compile(pattern), lose)
    return keys

"""The shop: sign-up, login and a payment, each proven by a code.

Knows pages, accounts and what a token must be for. With JavaScript, `<otp-form>` posts a token; without it, the same
addresses take a number and then a code. Must not know channels, limits or messages: those are the service's.
"""

import json
import secrets
import sqlite3
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self

from flask import (
    Blueprint,
    Flask,
    Response,
    current_app,
    g,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from werkzeug.wrappers import Response as AnyResponse

from otp_service.demo.shop import phone
from otp_service.demo.shop.otp import Otp, OtpProblem

PRICE = {"amount": "49.00 EUR", "payee": "Acme Shop"}
"""What a payment's code is bound to: the message says it, and the token proves it."""
WORDS = {
    "wrong_code": "That code is not right. Try again.",
    "invalid_request": "Check what you entered.",
    "invalid_number": "This phone number does not look right. Check it and its country code.",
    "challenge_not_found": "This code no longer works. Ask for a new one.",
    "no_attempts_left": "There were too many wrong codes. Ask for a new one.",
    "token_mismatch": "This code was for something else. Ask for a new one.",
}
"""People's words for what the service refuses; everything else has one sentence."""
OTHERWISE = "This did not work just now. Try again."


@dataclass(frozen=True, slots=True, kw_only=True)
class ShopConfig:
    """Where the service is, the keys of the shop's two apps, and the shop's own secret and database."""

    api: str
    sandbox: str
    key: str
    secret_key: str
    payment_key: str
    payment_secret_key: str
    cookie_secret: str
    database: str

    @classmethod
    def read(cls, file: Path) -> Self:
        """Read a configuration that the demo wrote."""
        return cls(**json.loads(file.read_text(encoding="utf-8")))


def create_shop(config: ShopConfig) -> Flask:
    """Make the shop's application."""
    shop = Flask(__name__)
    shop.secret_key = config.cookie_secret
    shop.config.update(SESSION_COOKIE_NAME="shop", SESSION_COOKIE_PATH="/demo", SESSION_COOKIE_SAMESITE="Lax")
    shop.extensions["shop"] = Shop(
        Accounts(config.database),
        Otp(config.api, config.secret_key),
        Otp(config.api, config.payment_secret_key),
    )
    shop.register_blueprint(views)
    shop.extensions["sandbox_url"] = config.sandbox
    shop.register_blueprint(phone.views)
    shop.jinja_env.globals.update(price=PRICE, binding=json.dumps(PRICE), keys=config)
    return shop


@dataclass(frozen=True, slots=True)
class Shop:
    """The parts of the shop: its customers, and the service as its two apps see it."""

    accounts: "Accounts"
    sign_in: Otp
    payments: Otp


def parts() -> Shop:
    """Return the parts of the shop that answers this request."""
    shop: Shop = current_app.extensions["shop"]
    return shop


views = Blueprint("shop", __name__)


@views.before_app_request
def know_the_person() -> None:
    """Look the customer up that the cookie names."""
    g.nonce = secrets.token_urlsafe(16)
    g.person = parts().accounts.read_account(session.get("sub", ""))


@views.after_app_request
def protect(response: Response) -> Response:
    """Allow each page no more than it needs."""
    response.headers["Content-Security-Policy"] = POLICY.format(nonce=g.nonce)
    response.headers["Referrer-Policy"] = "same-origin"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers.setdefault("Cache-Control", "no-store")
    return response


@views.app_errorhandler(OtpProblem)
def explain(problem: OtpProblem) -> tuple[str, int]:
    """Show the page again with the reason, in people's words."""
    page, challenge = ("pay.html", "payment") if request.path == "/pay" else ("sign.html", "challenge")
    words = WORDS.get(problem.code, OTHERWISE)
    shown = render_template(page, kind=request.path[1:], error=words, challenge=session.get(challenge))
    return shown, HTTPStatus.UNPROCESSABLE_ENTITY


@views.get("/")
def home() -> str:
    """Show what there is to buy."""
    return render_template("home.html")


@views.get("/<any('sign-up', 'login'):kind>")
def ask(kind: str) -> str:
    """Ask for a number."""
    session.pop("challenge", None)
    return render_template("sign.html", kind=kind)


@views.post("/<any('sign-up', 'login'):kind>")
def sign(kind: str) -> str | AnyResponse:
    """Sign a person in whose token is for this; without JavaScript, the first post sends the code."""
    purpose = kind.replace("-", "")
    token = _token(purpose)
    if token is None:
        return render_template("sign.html", kind=kind, challenge=session["challenge"])
    claims = parts().sign_in.redeem(token, purpose=purpose)
    name = session.pop("name", "") or request.form.get("name", "")
    parts().accounts.remember(claims["sub"], claims["phone_number"], name)
    session.pop("payment", None)  # it may be another person's
    session["sub"] = claims["sub"]
    return redirect(url_for("shop.home"), HTTPStatus.SEE_OTHER)


@views.get("/pay")
def order() -> str | AnyResponse:
    """Send a code that is bound to the amount and the payee. A reload comes back to it and sends nothing."""
    if not g.person:
        return redirect(url_for("shop.ask", kind="login"), HTTPStatus.SEE_OTHER)
    if "payment" not in session:
        session["payment"] = parts().payments.send(g.person["phone"], "payment", binding=PRICE)
    return render_template("pay.html", challenge=session["payment"])


@views.get("/pay/again")
def order_again() -> AnyResponse:
    """Leave a code that no longer works, so that another is sent."""
    session.pop("payment", None)
    return redirect(url_for("shop.order"), HTTPStatus.SEE_OTHER)


@views.post("/pay")
def confirm() -> str:
    """Take the payment if the token is for this amount and payee."""
    pay, form = parts().payments, request.form
    token = form.get("otp_token") or pay.verify(session.get("payment", "-"), form.get("code", ""))
    pay.redeem(token, purpose="payment", binding=PRICE)
    session.pop("payment", None)
    return render_template("paid.html")


@views.post("/sign-out")
def sign_out() -> AnyResponse:
    """Forget who it is."""
    session.clear()
    return redirect(url_for("shop.home"), HTTPStatus.SEE_OTHER)


def _token(purpose: str) -> str | None:
    """Return the token that `<otp-form>` posted. Without JavaScript, send a code first, then check it."""
    form, otp = request.form, parts().sign_in
    if form.get("otp_token"):
        return form["otp_token"]
    if "code" in form and "challenge" in session:
        token = otp.verify(session["challenge"], form["code"])
        session.pop("challenge")
        return token
    session["name"] = form.get("name", "")
    session["challenge"] = otp.send(form.get("to", ""), purpose)
    return None


POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; connect-src 'self'; img-src 'self'; "
    "worker-src blob:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
"""Only the shop's own files; `<otp-form>` adds no more than the style and the worker of its human check."""


class Accounts:
    """The shop's customers, by the token's `sub`: an id that stays the same for a number."""

    def __init__(self, database: str) -> None:
        self._database = database
        with sqlite3.connect(database) as store:
            store.execute("CREATE TABLE IF NOT EXISTS account (sub TEXT PRIMARY KEY, phone TEXT, name TEXT)")

    def read_account(self, sub: str) -> dict[str, Any] | None:
        """Return a customer, or nothing."""
        with sqlite3.connect(self._database) as store:
            row = store.execute("SELECT phone, name FROM account WHERE sub = ?", (sub,)).fetchone()
        return {"phone": row[0], "name": row[1]} if row else None

    def remember(self, sub: str, number: str, name: str) -> None:
        """Keep a customer; a login without a name keeps the old one."""
        known = self.read_account(sub) or {"name": ""}
        with sqlite3.connect(self._database) as store:
            store.execute(
                "REPLACE INTO account VALUES (?, ?, ?)", (sub, number, name or known["name"] or "Guest")
            )

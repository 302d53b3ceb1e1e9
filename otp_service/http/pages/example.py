"""An example page that proves a number with this service, for the demo: the whole way of an app's page in one file.

Knows the page and which key it is given. Must not be served where that key is a real app's.
"""

import secrets

from flask import Blueprint, Response, render_template


def example(key: str) -> Blueprint:
    """Serve the page at /try, calling the API with a publishable key."""
    pages = Blueprint(
        "example", __name__, template_folder="example", static_folder="example", static_url_path="/try/files"
    )

    @pages.get("/try")
    def page() -> Response:
        nonce = secrets.token_urlsafe(16)
        response = Response(render_template("page.html", key=key, nonce=nonce))
        response.headers["Content-Security-Policy"] = _policy(nonce)
        response.headers["Referrer-Policy"] = "no-referrer"
        return response

    return pages


def _policy(nonce: str) -> str:
    """Allow what the page needs and no more: the widget brings a style, and its workers come from a blob."""
    return (
        f"default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; worker-src blob:; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )

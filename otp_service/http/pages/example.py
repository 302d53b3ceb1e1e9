"""An example page for the demo: it verifies a number with this service, as the page of an app would.

Knows the page and the key that it is given. Must not be served with the key of a real app.
"""

import secrets

from flask import Blueprint, Response, render_template


def example(key: str) -> Blueprint:
    """Make the blueprint that serves the page at /try. The page calls the API with a publishable key."""
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
    """Allow only what the page needs: the widget adds a style, and its workers come from a blob."""
    return (
        f"default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; worker-src blob:; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )

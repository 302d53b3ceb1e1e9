"""A sign-up with a phone number, in Flask: the person gets a session when the service has proven the number."""

import os
import secrets

from flask import Flask, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response

from otp_client import NoAnswer, OtpClient, problems

app = Flask(__name__)
app.config.update(
    SECRET_KEY=os.environ["SESSION_SECRET"],
    SESSION_COOKIE_HTTPONLY=True,
    SESSION_COOKIE_SAMESITE="Lax",  # no other site can post these forms in the person's name
    SESSION_COOKIE_SECURE=os.environ["OTP_URL"].startswith("https:"),
)
client = OtpClient(os.environ["OTP_URL"], os.environ["OTP_SECRET_KEY"])
PURPOSE = "signup"


@app.get("/")
def home() -> str:
    """Show the person who is signed in, or ask for a number."""
    return render_template("home.html", number=session.get("number"))


@app.post("/number")
def send() -> tuple[str, int] | Response:
    """Send a code. The id of the session makes its limits the person's own."""
    session.setdefault("id", secrets.token_urlsafe(16))
    try:
        challenge = client.send(
            request.form["number"], purpose=PURPOSE, session=session["id"], address=request.remote_addr
        )
    except (problems.InvalidNumber, problems.InvalidRequest):
        return render_template("home.html", error="Check the number. Start with + and the country code."), 400
    except (problems.NoRoute, problems.NumberOptedOut):
        return render_template("home.html", error="We cannot send codes to this number."), 400
    except problems.TooManyRequests as error:
        wait = f"Too many codes. Try again in {error.retry_after} seconds."
        return render_template("home.html", error=wait), 429
    except (problems.Problem, NoAnswer):
        return render_template("home.html", error="That did not work. Try again in a moment."), 503
    session["challenge"] = challenge.challenge_id
    return redirect(url_for("ask"))


@app.get("/code")
def ask() -> str | Response:
    """Ask for the code."""
    return render_template("code.html") if "challenge" in session else redirect(url_for("home"))


@app.post("/code")
def verify() -> tuple[str, int] | Response:
    """Check the code, redeem the token, and begin a new session."""
    try:
        verified = client.verify(session.get("challenge", ""), request.form["code"])
        claims = client.redeem(verified.token, purpose=PURPOSE, session=session["id"])
    except problems.WrongCode as error:
        return render_template("code.html", error=f"Not right. {error.checks_left} tries left."), 400
    except problems.InvalidRequest:
        return render_template("code.html", error="Enter the digits of the code."), 400
    except (problems.ChallengeNotFound, problems.NoAttemptsLeft):
        return render_template("home.html", error="This code has expired. Get a new one."), 400
    except (problems.Problem, NoAnswer):
        return render_template("code.html", error="That did not work. Try again in a moment."), 503
    session.clear()  # what came before belongs to nobody
    session["number"] = claims.phone_number
    return redirect(url_for("home"))


@app.post("/leave")
def leave() -> Response:
    """End the session."""
    session.clear()
    return redirect(url_for("home"))

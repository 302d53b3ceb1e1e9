// A sign-up with a phone number, in Express: the person gets a session when the service has proven the number.
import { randomUUID } from "node:crypto";
import express from "express";
import session from "express-session";

const { OTP_URL, OTP_SECRET_KEY, SESSION_SECRET, PORT = "3000" } = process.env;
const PURPOSE = "signup";
const TRIES = 3;

// Calls the service. A lost answer, or a 503, is asked for again with the same Idempotency-Key: the act is done once.
async function call(path, body) {
  const headers = {
    Authorization: `Bearer ${OTP_SECRET_KEY}`,
    "Content-Type": "application/json",
    "Idempotency-Key": randomUUID(),
  };
  for (let tried = 1; ; tried += 1) {
    try {
      const signal = AbortSignal.timeout(5000);
      const answer = await fetch(OTP_URL + path, { method: "POST", headers, body: JSON.stringify(body), signal });
      const members = await answer.json();
      if (answer.ok || answer.status !== 503 || tried === TRIES) return members;
    } catch (lost) {
      if (tried === TRIES) return { code: "no_answer" };
    }
    await new Promise((resume) => setTimeout(resume, 200 * tried));
  }
}

const WORDS = {
  invalid_number: () => "Check the number. Start with + and the country code.",
  invalid_request: () => "Check what you entered.",
  no_route: () => "We cannot send codes to this number.",
  number_opted_out: () => "We cannot send codes to this number.",
  too_many_requests: ({ retry_after }) => `Too many codes. Try again in ${retry_after} seconds.`,
  wrong_code: ({ checks_left }) => `Not right. ${checks_left} tries left.`,
  challenge_not_found: () => "This code has expired. Get a new one.",
  no_attempts_left: () => "This code has expired. Get a new one.",
};
const wordsFor = (problem) => (WORDS[problem.code] ?? (() => "That did not work. Try again in a moment."))(problem);

const escaped = (text) => text.replace(/[&<>"]/g, (mark) => `&#${mark.charCodeAt(0)};`);
const page = (main, error = "") => `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sign up</title><main>${error && `<p role="alert">${escaped(error)}</p>`}${main}</main></html>`;
const home = `<h1>Sign up</h1><form method="post" action="/number"><label for="number">Phone number</label>
<input id="number" name="number" type="tel" autocomplete="tel" required><button>Send a code</button></form>`;
const code = `<h1>Enter the code</h1><form method="post" action="/code"><label for="code">Code from the message</label>
<input id="code" name="code" inputmode="numeric" autocomplete="one-time-code" required autofocus>
<button>Continue</button></form><p><a href="/">Use another number</a></p>`;
const welcome = (number) => `<h1>Welcome</h1><p>You are signed in with ${escaped(number)}.</p>
<form method="post" action="/leave"><button>Sign out</button></form>`;

const app = express();
app.disable("x-powered-by");
app.use(express.urlencoded({ extended: false, limit: "4kb" }));
app.use(
  session({
    secret: SESSION_SECRET,
    resave: false,
    saveUninitialized: false,
    // No other site can post these forms in the person's name. For more than one process, give it a store.
    cookie: { httpOnly: true, sameSite: "lax", secure: OTP_URL.startsWith("https:") },
  }),
);

app.get("/", (request, response) => {
  const { number } = request.session;
  response.send(page(number ? welcome(number) : home));
});

app.post("/number", async (request, response) => {
  request.session.person ??= randomUUID(); // makes the limits the person's own
  const { person } = request.session;
  const to = String(request.body.number ?? "");
  const sent = await call("/otp/send", { to, purpose: PURPOSE, session: person, address: request.ip });
  if (sent.code) return response.status(400).send(page(home, wordsFor(sent)));
  request.session.challenge = sent.challenge_id;
  return response.redirect(303, "/code");
});

app.get("/code", (request, response) => {
  if (request.session.challenge) response.send(page(code));
  else response.redirect(303, "/");
});

app.post("/code", async (request, response) => {
  const { person, challenge = "" } = request.session;
  const verified = await call("/otp/verify", { challenge_id: challenge, code: String(request.body.code ?? "") });
  if (verified.code) return response.status(400).send(page(code, wordsFor(verified)));
  const expect = { purpose: PURPOSE, session: person };
  const claims = await call("/otp/token/redeem", { token: verified.token, expect });
  if (claims.code) return response.status(400).send(page(home, wordsFor(claims)));
  // A new session: what came before belongs to nobody.
  return request.session.regenerate(() => {
    request.session.number = claims.phone_number;
    request.session.save(() => response.redirect(303, "/"));
  });
});

app.post("/leave", (request, response) => {
  request.session.destroy(() => response.redirect(303, "/"));
});

app.listen(Number(PORT), "127.0.0.1", () => console.log(`http://127.0.0.1:${PORT}`));

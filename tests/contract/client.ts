// A generated client proves a number: one send, one verify, one redeem. Prints the token's claims as JSON.
import createClient from "openapi-fetch";
import type { components, paths } from "./openapi.js";

type Channel = components["schemas"]["Channel"];
type Message = { code: string; channel: Channel };

function setting(name: string): string {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is missing`);
  return value;
}

function clientOf(key: string) {
  return createClient<paths>({ baseUrl: setting("API"), headers: { Authorization: `Bearer ${key}` } });
}

async function codeOf(to: string): Promise<string> {
  for (;;) {
    const answer = await fetch(`${setting("SANDBOX")}/inbox?to=${encodeURIComponent(to)}`, {
      headers: { Accept: "application/json" },
    });
    const [newest] = (await answer.json()) as Message[];
    if (newest !== undefined) return newest.code;
    await new Promise((resume) => setTimeout(resume, 50));
  }
}

// A request that is repeated with the same key is done once, and gets the first answer.
function once() {
  return { header: { "Idempotency-Key": crypto.randomUUID() } };
}

const browser = clientOf(setting("PUBLISHABLE_KEY"));
const server = clientOf(setting("SECRET_KEY"));
const to = setting("NUMBER");

const sent = await browser.POST("/otp/send", {
  params: once(),
  body: { to, purpose: "signup", channel: "sms" },
});
if (sent.error !== undefined) throw new Error(sent.error.code);
const { challenge_id, channel, status } = sent.data;
const first: Channel = channel;

const code = await codeOf(to);
const wrong = await browser.POST("/otp/verify", {
  params: once(),
  body: { challenge_id, code: code === "000000" ? "000001" : "000000" },
});
if (wrong.error?.code !== "wrong_code") throw new Error("a wrong code was taken");
const guesses: number | undefined = wrong.error.checks_left;

const check = { params: once(), body: { challenge_id, code } };
const verified = await browser.POST("/otp/verify", check);
if (verified.error !== undefined) throw new Error(verified.error.code);
const repeated = await browser.POST("/otp/verify", check);
if (repeated.data?.token !== verified.data.token) throw new Error("the answer was not given again");
const redeemed = await server.POST("/otp/token/redeem", { body: { token: verified.data.token } });
if (redeemed.error !== undefined) throw new Error(redeemed.error.code);
const shown = await browser.GET("/otp/{challenge_id}", { params: { path: { challenge_id } } });
if (shown.error !== undefined) throw new Error(shown.error.code);

console.log(
  JSON.stringify({ before: status, first, guesses, after: shown.data.status, claims: redeemed.data }),
);

// What an app's page does: send, solve a human check if required, follow the message, verify, send again.

const WIDGET = "/otp/human-check/widget.js";
const NAMES = { sms: "SMS", whatsapp: "WhatsApp", voice: "phone call", rcs: "RCS" };
const FIELDS = { to: "The phone number", code: "The code" };
const ENDED = {
  expired: "The code has expired.",
  exhausted: "This code cannot be tried again.",
  undeliverable: "The code could not be delivered.",
};
const $ = (id) => document.getElementById(id);
const key = document.body.dataset.key;
let challenge = null;
let clock = 0;

const pause = (milliseconds) => new Promise((resume) => setTimeout(resume, milliseconds));

// Draws an Idempotency-Key: a request that is repeated with it is done once, and gets the first answer.
function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// Posts a body; without one, reads. Throws a problem document if the service refuses.
async function call(path, body, once) {
  const headers = { Authorization: `Bearer ${key}`, "Content-Type": "application/json" };
  if (once) headers["Idempotency-Key"] = once;
  const answer = await fetch(path, { method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body) });
  const content = await answer.json();
  if (!answer.ok) throw content;
  return content;
}

// Posts a body, and again while the answer is lost or the service cannot work now.
async function post(path, body, once = newKey(), tries = 3) {
  try {
    return await call(path, body, once);
  } catch (problem) {
    const passing = !problem.code || problem.status === 503;
    if (!passing || tries === 1) throw problem;
    await pause(1000 * (problem.retry_after ?? 1));
    return post(path, body, once, tries - 1);
  }
}

// Repeats a request with a proof while the service requires a human check, or a harder one than before.
async function ask(path, body, once = newKey()) {
  try {
    return await post(path, body, once);
  } catch (problem) {
    if (problem.code !== "human_check_required") throw problem;
    return ask(path, { ...body, human_proof: await solve(problem.human_check) }, once);
  }
}

async function solve(check) {
  if (check.kind !== "altcha") throw { detail: "This page does not support this kind of human check." };
  await import(WIDGET);
  const widget = document.createElement("altcha-widget");
  widget.setAttribute("auto", "onload");
  widget.setAttribute("challenge", JSON.stringify(check.challenge));
  const options = { hideFooter: true, hideLogo: true, humanInteractionSignature: false };
  widget.setAttribute("configuration", JSON.stringify(options));
  show("check");
  try {
    return await new Promise((resolve, reject) => {
      widget.addEventListener("verified", (event) => resolve(event.detail.payload));
      widget.addEventListener("statechange", (event) => {
        if (event.detail.state === "error") reject({ detail: "This browser could not solve the check." });
      });
      $("widget").replaceChildren(widget);
    });
  } finally {
    $("widget").replaceChildren();
  }
}

function show(step) {
  for (const id of ["number", "check", "code", "done"]) $(id).hidden = id !== step;
}

// Runs one step with the buttons disabled. After a problem it shows the form where the person can correct it.
async function step(id, act) {
  const buttons = document.querySelectorAll("button");
  for (const button of buttons) button.disabled = true;
  $("problem").textContent = "";
  try {
    await act();
  } catch (problem) {
    show(id);
    $("problem").textContent = explain(problem);
  } finally {
    for (const button of buttons) button.disabled = false;
    tick();
  }
}

// The rule that a field breaks says more than the detail of `invalid_request`, which is the same for all fields.
function explain(problem) {
  const [first] = problem.code === "invalid_request" ? problem.errors : [];
  if (first) return `${FIELDS[first.field] ?? first.field} ${first.rule}.`;
  return problem.detail ?? "The service cannot be reached. Try again.";
}

function opened(answer) {
  update(answer);
  $("digits").maxLength = 64;
  show("code");
  $("digits").focus();
}

function update(answer) {
  challenge = answer;
  const end = performance.now() + answer.resend_in * 1000;
  if (Math.abs(end - clock) > 1500) clock = end; // less is rounding: the answer has whole seconds
  const way = `A code is on its way to ${answer.to} by ${NAMES[answer.channel] ?? answer.channel}.`;
  $("sent").textContent = ENDED[answer.status] ?? way;
}

// Reads the challenge every 2 s while it is pending: a code that does not arrive moves on to another channel.
async function follow(id) {
  const followed = () => challenge?.challenge_id === id && challenge.status === "pending";
  while (followed()) {
    await pause(2000);
    const answer = await call(`/otp/${id}`).catch(() => null); // the next one may come through
    if (answer && followed()) update(answer);
  }
}

function tick() {
  const left = Math.ceil((clock - performance.now()) / 1000);
  $("again").disabled = left > 0 || challenge?.sends_left === 0;
  $("again").textContent = left > 0 ? `Send again in ${left} s` : "Send again";
}

async function verify() {
  const code = $("digits").value;
  $("digits").value = "";
  challenge = await post("/otp/verify", { challenge_id: challenge.challenge_id, code });
  $("token").textContent = challenge.token;
  show("done");
  $("title").focus();
}

function restart() {
  challenge = null;
  $("problem").textContent = "";
  $("token").textContent = "";
  show("number");
  $("to").focus();
}

$("number").addEventListener("submit", (event) => {
  event.preventDefault();
  step("number", async () => {
    opened(await ask("/otp/send", { to: $("to").value }));
    follow(challenge.challenge_id);
  });
});
$("code").addEventListener("submit", (event) => {
  event.preventDefault();
  step("code", verify);
});
$("again").addEventListener("click", () =>
  step("code", async () => opened(await ask(`/otp/${challenge.challenge_id}/resend`, {}))),
);
for (const id of ["other", "restart"]) $(id).addEventListener("click", restart);
setInterval(tick, 250);

// What an app's page does: send, solve a human check if required, verify, send again.

const WIDGET = "/otp/human-check/widget.js";
const NAMES = { sms: "SMS", whatsapp: "WhatsApp", voice: "phone call", rcs: "RCS" };
const $ = (id) => document.getElementById(id);
const key = document.body.dataset.key;
let challenge = null;
let clock = 0;

async function call(path, body) {
  const answer = await fetch(path, {
    method: "POST",
    headers: { Authorization: `Bearer ${key}`, "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  const content = await answer.json();
  if (!answer.ok) throw content;
  return content;
}

// Repeats a request with a proof while the service requires a human check, or a harder one than before.
async function ask(path, body) {
  try {
    return await call(path, body);
  } catch (problem) {
    if (problem.code !== "human_check_required") throw problem;
    return ask(path, { ...body, human_proof: await solve(problem.human_check) });
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
    $("problem").textContent = problem.detail ?? "The service cannot be reached. Try again.";
  } finally {
    for (const button of buttons) button.disabled = false;
    tick();
  }
}

function opened(answer) {
  challenge = answer;
  clock = performance.now() + answer.resend_in * 1000;
  $("sent").textContent = `A code is on its way to ${answer.to} by ${NAMES[answer.channel] ?? answer.channel}.`;
  $("digits").maxLength = answer.code_length + 2;
  show("code");
  $("digits").focus();
}

function tick() {
  const left = Math.ceil((clock - performance.now()) / 1000);
  $("again").disabled = left > 0;
  $("again").textContent = left > 0 ? `Again in ${left} s` : "Send again";
}

async function verify() {
  const code = $("digits").value.replaceAll(" ", "");
  $("digits").value = "";
  const answer = await call("/otp/verify", { challenge_id: challenge.challenge_id, code });
  $("token").textContent = answer.token;
  show("done");
  $("title").focus();
}

$("number").addEventListener("submit", (event) => {
  event.preventDefault();
  step("number", async () => opened(await ask("/otp/send", { to: $("to").value })));
});
$("code").addEventListener("submit", (event) => {
  event.preventDefault();
  step("code", verify);
});
$("again").addEventListener("click", () =>
  step("code", async () => opened(await ask(`/otp/${challenge.challenge_id}/resend`, {}))),
);
$("other").addEventListener("click", () => {
  $("problem").textContent = "";
  show("number");
  $("to").focus();
});
setInterval(tick, 250);

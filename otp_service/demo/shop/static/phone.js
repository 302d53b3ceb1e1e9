// The phone beside the shop: shows what the sandbox holds, newest first. Texts are inserted as text, never as HTML.

const NAMES = { sms: "SMS", whatsapp: "WhatsApp", voice: "Call", rcs: "RCS", mip: "App" };
const GOOD = new Set(["DELIVRD", "delivered", "read", "ANSWER"]);
const WAIT = new Set(["AWAITING-DLR", "queued", "sent"]);
const phone = document.querySelector(".phone");
const list = document.getElementById("messages");
const quiet = document.getElementById("quiet");
const cards = new Map();

function draw(row) {
  const card = document.createElement("li");
  card.dataset.channel = row.channel;
  const head = document.createElement("div");
  head.className = "head";
  const from = document.createElement("b");
  from.textContent = `${NAMES[row.channel] ?? row.channel} to ${row.to}`;
  const chip = document.createElement("span");
  head.append(from, chip);
  const text = document.createElement("p");
  text.textContent = row.channel === "voice" ? `☎ “${row.text}”` : row.text;
  card.append(head, text);
  if (row.code) {
    const copy = document.createElement("button");
    copy.type = "button";
    copy.textContent = `Copy ${row.code}`;
    copy.addEventListener("click", () => navigator.clipboard?.writeText(row.code));
    card.append(copy);
  }
  cards.set(row.id, card);
  return card;
}

function render(rows) {
  rows.toReversed().forEach((row) => {
    const card = cards.get(row.id) ?? draw(row);
    if (!card.isConnected) list.prepend(card);
    const chip = card.querySelector(".head span");
    chip.className = `chip ${GOOD.has(row.status) ? "good" : WAIT.has(row.status) ? "" : "bad"}`;
    const words = GOOD.has(row.status) ? "arrived" : WAIT.has(row.status) ? "on its way" : "failed";
    if (chip.textContent === words) return;
    chip.textContent = words;
    if (words !== "failed") return;
    card.querySelector("p").textContent = row.channel === "voice" ? "☎ Missed call" : "It did not reach this phone.";
    card.querySelector("button")?.remove();
  });
  quiet.hidden = rows.length > 0;
  list.hidden = rows.length === 0;
}

function press(fault) {
  for (const button of phone.querySelectorAll("[data-fault]")) button.ariaPressed = String(button.dataset.fault === fault);
}

async function refresh() {
  try {
    const answer = await fetch(phone.dataset.messages);
    if (answer.ok) {
      const { messages, fault } = await answer.json();
      render(messages);
      press(fault);
    }
  } catch {
    // The next one may come through.
  }
  setTimeout(refresh, document.hidden ? 5000 : 1000);
}

for (const button of phone.querySelectorAll("[data-fault]")) {
  button.addEventListener("click", async () => {
    const headers = { "Content-Type": "application/json" };
    const body = JSON.stringify({ fault: button.dataset.fault });
    const answer = await fetch(phone.dataset.messages, { method: "POST", headers, body });
    if (!answer.ok) return;
    press(button.dataset.fault);
  });
}
list.hidden = true;
refresh();

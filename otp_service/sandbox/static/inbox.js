// The inbox page. The feed only says that something changed; the page then loads the whole inbox, so a restart of the
// sandbox or a lost event leaves nothing wrong on the page. Texts are inserted as text, never as HTML.

const SHOWN = 200;
const RETRY = 1000;
const SILENCE = 15000; // the feed beats every 5 s
const FULL_NUMBER = 7;
const NAMES = { sms: "SMS", whatsapp: "WhatsApp", rcs: "RCS", mip: "MIP", voice: "Voice", viber: "Viber" };
const GOOD = new Set(["DELIVRD", "delivered", "read", "ANSWER"]);
const WAIT = new Set(["AWAITING-DLR", "queued", "sent"]);

const page = document.body.dataset;
const [state, filter, list, empty, news, shape] = ["state", "filter", "messages", "empty", "news", "message"].map(
  (id) => document.getElementById(id),
);
const cards = new Map();
const reply = Object.fromEntries(
  ["from", "channel", "text", "state"].map((name) => [name, document.getElementById(`reply-${name}`)]),
);
let newest = null;
let asked = 0;
let silence;

function show(name, words) {
  if (state.dataset.state !== name) {
    state.dataset.state = name;
    state.textContent = words;
  }
}

function listen() {
  const feed = new EventSource(page.feed);
  const lost = () => {
    clearTimeout(silence);
    feed.close();
    show("lost", "Connection lost, retrying…");
    setTimeout(listen, RETRY);
    refresh(); // if there are too many open pages for a feed, this one still polls
  };
  const alive = () => {
    clearTimeout(silence);
    silence = setTimeout(lost, SILENCE);
    show("live", "Live");
  };
  feed.addEventListener("open", alive);
  feed.addEventListener("beat", alive);
  feed.addEventListener("news", () => {
    alive();
    refresh();
  });
  feed.addEventListener("error", lost);
}

async function refresh() {
  const turn = ++asked;
  try {
    const rows = await wanted(filter.value.replace(/\D/g, ""));
    // Drop an answer if a newer request is under way.
    if (turn === asked) render(rows);
  } catch {
    // The feed notices the same failure and shows it.
  }
}

async function wanted(digits) {
  const rows = await inbox({ limit: SHOWN });
  if (!digits) return rows;
  const matching = rows.filter((row) => row.to.includes(digits));
  return matching.length || digits.length < FULL_NUMBER ? matching : inbox({ to: digits, limit: SHOWN });
}

async function inbox(query) {
  const answer = await fetch(`${page.inbox}?${new URLSearchParams(query)}`, {
    headers: { Accept: "application/json" },
  });
  if (!answer.ok) throw new Error(answer.status);
  return answer.json();
}

function render(rows) {
  const first = newest === null;
  const kept = new Set(rows.map((row) => row.id));
  const several = new Set(rows.map((row) => row.account)).size > 1;
  for (const [id, card] of cards) {
    if (!kept.has(id)) {
      card.remove();
      cards.delete(id);
    }
  }
  rows.forEach((row, index) => {
    const card = cards.get(row.id) ?? draw(row, !first);
    // Moved only if necessary, so that focus and selection stay.
    if (list.children[index] !== card) list.insertBefore(card, list.children[index] ?? null);
    settle(card, row.status);
    card.querySelector(".account").hidden = !several; // the name is useful only if there are several accounts
  });
  empty.hidden = rows.length > 0;
  empty.textContent = filter.value ? `No message to ${filter.value}` : "No messages yet.\nThe next one appears here by itself.";
  announce(rows[0], first);
  if (rows[0] && !reply.from.value) reply.from.value = rows[0].to;
}

function draw(row, isNew) {
  const card = shape.content.cloneNode(true).firstElementChild;
  const part = (selector) => card.querySelector(selector);
  part(".from").textContent = row.from;
  part(".channel").textContent = NAMES[row.channel] ?? row.channel;
  part(".channel").dataset.channel = row.channel;
  part(".account").textContent = `via ${row.account}`;
  card.dataset.channel = row.channel;
  part(".text").textContent = row.text;
  part(".to").textContent = `to ${row.to}`;
  part(".code").hidden = !row.code;
  part("output").textContent = row.code ?? "";
  const button = part("button");
  button.setAttribute("aria-label", `Copy code ${row.code}`);
  button.addEventListener("click", () => copy(button, part("output")));
  const time = part("time");
  time.dateTime = row.at;
  time.textContent = new Date(row.at).toLocaleTimeString();
  time.title = new Date(row.at).toLocaleString();
  card.classList.toggle("new", isNew);
  cards.set(row.id, card);
  return card;
}

function settle(card, status) {
  const chip = card.querySelector(".status");
  if (chip.textContent === status) return;
  chip.textContent = status;
  chip.dataset.kind = GOOD.has(status) ? "good" : WAIT.has(status) ? "wait" : "bad";
}

function announce(row, first) {
  if (row && row.id !== newest && !first) {
    const code = row.code ? `, code ${[...row.code].join(" ")}` : "";
    news.textContent = `New message from ${row.from} to ${row.to}${code}`;
  }
  newest = row?.id ?? "";
}

async function copy(button, output) {
  try {
    await navigator.clipboard.writeText(output.textContent);
  } catch {
    // Without TLS, browsers offer the clipboard on localhost only. Select the code and use the older command.
    const range = document.createRange();
    range.selectNodeContents(output);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    document.execCommand("copy");
  }
  button.textContent = "Copied";
  news.textContent = "Code copied";
  setTimeout(() => (button.textContent = "Copy"), 1500);
}

function filtered() {
  const address = new URL(location);
  if (filter.value) address.searchParams.set("to", filter.value);
  else address.searchParams.delete("to");
  history.replaceState(null, "", address);
  newest = null; // messages that the filter reveals are not new
  refresh();
}

async function send(event) {
  event.preventDefault();
  const body = { from: reply.from.value.replace(/[^\d+]/g, ""), text: reply.text.value, channel: reply.channel.value };
  try {
    const answer = await fetch(page.inbound, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    const told = await answer.json();
    if (!answer.ok) throw new Error(Object.values(told.errors ?? {}).flat().join(" ") || told.message);
    reply.text.value = "";
    reply.state.textContent = told.told ? `Sent to ${told.to}.` : `Sent to ${told.to}, but no webhook receives replies.`;
  } catch (error) {
    reply.state.textContent = `Not sent. ${error.message}`;
  }
}

document.getElementById("reply").addEventListener("submit", send);
filter.value = new URLSearchParams(location.search).get("to") ?? "";
filter.addEventListener("input", filtered);
document.getElementById("clear").addEventListener("click", async () => {
  await fetch(page.inbox, { method: "DELETE" }).catch(() => {});
  refresh();
});
refresh();
listen();

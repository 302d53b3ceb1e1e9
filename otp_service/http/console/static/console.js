// The live parts of the console. Everything also works without this file.
"use strict";

const editor = document.querySelector("textarea[data-check]");
if (editor) {
  const WAIT = 100; // milliseconds without a key until the text is checked
  const gutter = document.querySelector(".gutter");
  const list = document.getElementById("mistakes");
  const said = document.getElementById("typed");
  const token = document.querySelector('meta[name="form-token"]').content;
  let timer = 0;
  let turn = 0;

  const element = (name, text, className = "") => {
    const made = document.createElement(name);
    made.textContent = text;
    made.className = className;
    return made;
  };

  const number = (wrong) => {
    const lines = editor.value.split("\n").map((_, at) => element("div", at + 1, wrong.has(at + 1) ? "bad" : ""));
    gutter.replaceChildren(...lines);
    gutter.scrollTop = editor.scrollTop;
  };

  const goTo = (line) => {
    const before = editor.value.split("\n").slice(0, line - 1).join("\n").length + (line > 1 ? 1 : 0);
    editor.focus();
    editor.setSelectionRange(before, before + editor.value.split("\n")[line - 1].length);
    editor.scrollTop = Math.max(0, (line - 6) * 20);
  };

  const show = (problems) => {
    number(new Set(problems.map((one) => one.line)));
    const rows = problems.map((one) => {
      const row = document.createElement("li");
      if (one.line) {
        const place = element("button", `Line ${one.line}`);
        place.type = "button";
        place.addEventListener("click", () => goTo(one.line));
        row.append(place, " ");
      }
      row.append(one.what);
      return row;
    });
    const found = element("ol", "", "mistakes");
    found.append(...rows);
    list.replaceChildren(...(rows.length ? [found] : []));
    said.textContent = rows.length ? `${rows.length} ${rows.length === 1 ? "mistake" : "mistakes"}` : "no mistakes";
  };

  const check = async () => {
    const mine = ++turn;
    const answer = await fetch(editor.dataset.check, {
      method: "POST",
      headers: { "Content-Type": "text/plain; charset=utf-8", "X-Form-Token": token },
      body: editor.value,
    }).catch(() => null);
    if (mine !== turn) return; // newer text is on its way
    if (answer && answer.ok && (answer.headers.get("Content-Type") || "").startsWith("application/json")) {
      show((await answer.json()).problems);
    } else {
      said.textContent = "not checked; press Check";
    }
  };

  editor.addEventListener("input", () => {
    number(new Set());
    said.textContent = "";
    clearTimeout(timer);
    timer = setTimeout(check, WAIT);
  });
  editor.addEventListener("scroll", () => { gutter.scrollTop = editor.scrollTop; });
  number(new Set());
  if (list.children.length) check();
}

// A page that shows the present loads itself again, but only while a person is there: a session that nobody uses ends.
const present = document.querySelector("[data-refresh]");
if (present) {
  const MOST = 20 * 60 * 1000; // milliseconds without a sign of a person
  const kind = performance.getEntriesByType("navigation")[0]?.type;
  const seen = () => { try { sessionStorage.setItem("seen", Date.now()); } catch { /* the page then loads once */ } };
  if (kind !== "reload") seen();
  for (const sign of ["pointerdown", "keydown"]) addEventListener(sign, seen);
  const again = () => {
    let last = 0;
    try { last = Number(sessionStorage.getItem("seen")); } catch { /* as above */ }
    const busy = document.hidden || document.activeElement instanceof HTMLInputElement;
    if (Date.now() - last > MOST) return;
    if (busy) setTimeout(again, 1000);
    else location.reload();
  };
  setTimeout(again, 1000 * Number(present.dataset.refresh));
}

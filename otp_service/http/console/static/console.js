// The live parts of the console. Everything also works without this file.
"use strict";

const editor = document.querySelector("textarea[data-check]");
if (editor) {
  const WAIT = 150; // milliseconds without a key until the text is checked
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

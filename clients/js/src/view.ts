// What stands on the screen: one set of real elements, shown by step. Knows elements and words; decides nothing.

import type { Challenge, Channel } from "./client.js";
import { deliveryLine } from "./delivery.js";
import { clock, type Language, type Name } from "./words.js";

export type Step = "number" | "code" | "ended" | "done";
const WINDOW = 60_000;
const MOST_IN_WINDOW = 3;
let views = 0;

/** What a person can do, besides typing. */
export interface Acts {
  changeNumber(): void;
  resend(channel: Channel | undefined): void;
  paste(event: ClipboardEvent): void;
  input(event: Event): void;
}

type Props = Record<string, string | boolean | ((event: never) => void)>;

function make<T extends keyof HTMLElementTagNameMap>(tag: T, props: Props = {}, ...inside: (Node | string)[]): HTMLElementTagNameMap[T] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (typeof value === "function") element.addEventListener(name, value as EventListener);
    else if (typeof value === "boolean") element.toggleAttribute(name, value);
    else element.setAttribute(name, value);
  }
  element.append(...inside);
  return element;
}

export class View {
  readonly root: HTMLDivElement;
  readonly to: HTMLInputElement;
  readonly code: HTMLInputElement;
  step: Step = "number";
  readonly #title: HTMLElement;
  readonly #lead = make("p", { class: "otp-lead" });
  readonly #hint: HTMLElement;
  readonly #label: HTMLLabelElement;
  readonly #error: HTMLElement;
  readonly #field: HTMLElement;
  readonly #check = make("div", { class: "otp-check", hidden: true });
  readonly #button: HTMLButtonElement;
  readonly #again: HTMLElement;
  readonly #wait = make("span", { class: "otp-wait" });
  readonly #ways = make("span", { class: "otp-ways" });
  readonly #note = make("p", { class: "otp-note" });
  readonly #status = make("p", { class: "otp-say", role: "status" });
  readonly #change: HTMLButtonElement;
  readonly #buttons = new Map<string, HTMLButtonElement>();
  #line = "";
  #said: number[] = [];

  constructor(readonly language: Language, private readonly acts: Acts, level: number, private readonly toHint: Name) {
    const id = `otp-${++views}-`;
    const described = `${id}hint ${id}error`;
    const plain = { autocapitalize: "off", autocorrect: "off", spellcheck: "false", "aria-describedby": described };
    const common = { ...plain, class: "otp-input", input: acts.input };
    this.to = make("input", { ...common, id: `${id}to`, type: "tel", autocomplete: "tel", enterkeyhint: "send" });
    this.code = make("input", { ...common, class: "otp-input otp-code", id: `${id}code`, type: "text", inputmode: "numeric", autocomplete: "one-time-code", enterkeyhint: "done", paste: acts.paste });
    this.#title = make(`h${level}` as "h2", { class: "otp-title", tabindex: "-1" });
    this.#label = make("label");
    this.#hint = make("p", { class: "otp-hint", id: `${id}hint` });
    this.#error = make("p", { class: "otp-error", id: `${id}error` });
    this.#change = this.#link(this.#word("change"), () => acts.changeNumber());
    this.#field = make("div", {}, this.#label, this.#hint, this.to, this.code, this.#error);
    this.#button = make("button", { class: "otp-button", type: "submit" });
    this.#again = make("div", { class: "otp-again" }, this.#wait, this.#ways);
    this.root = make("div", { lang: language.tag, dir: language.direction }, this.#title, this.#lead, this.#field, this.#check, this.#button, this.#again, this.#note, this.#status);
    this.show("number");
  }

  /** Shows a step; `why` is the reason of an end. */
  show(step: Step, why?: Name): void {
    this.step = step;
    const typed = step === "number" || step === "code";
    const number = step === "number";
    this.root.className = `otp-at-${step}`;
    this.#title.textContent = this.#word(({ number: "title", code: "codeTitle", ended: "endTitle", done: "done" } as const)[step]);
    this.#lead.hidden = number || step === "done";
    if (why) this.#lead.textContent = this.#word(why);
    this.#field.hidden = !typed;
    this.to.hidden = !number;
    this.code.hidden = number;
    this.#label.htmlFor = number ? this.to.id : this.code.id;
    this.#label.textContent = this.#word(number ? "toLabel" : "codeLabel");
    this.#hint.textContent = number ? this.#word(this.toHint) : "";
    this.#button.hidden = step === "done";
    this.#button.textContent = this.#word(({ number: "send", code: "verify", ended: "restart", done: "verify" } as const)[step]);
    this.#again.hidden = step !== "code";
    this.note("");
    this.error("");
    this.hush();
  }

  /** Shows what is true about a running challenge; `to` is the number as the person typed it, or masked. */
  showChallenge(challenge: Challenge, to: string, changeable: boolean): void {
    this.#hint.textContent = this.language.say("codeHint", { n: challenge.code_length });
    const { title, line } = deliveryLine(challenge, this.language);
    if (this.#title.textContent !== title) this.#title.textContent = title;
    const [before = "", after = ""] = line.split("{to}");
    const key = before + to + after;
    if (this.#line !== key || !this.#lead.contains(this.#change)) {
      const held = this.#change.matches(":focus");
      this.#unsay(this.#line);
      this.#line = key;
      this.#lead.replaceChildren(before, make("b", { dir: "ltr" }, to), after, " ", this.#change);
      if (held) this.#change.focus();
    }
    this.#change.hidden = !changeable;
    this.#showWays(challenge);
  }

  /** Shows both countdowns, in seconds; none of them is announced every second. */
  tick(resendIn: number, expiresIn: number, sends: boolean): void {
    const waiting = resendIn > 0;
    this.#wait.textContent = waiting && sends ? this.language.say("wait", { time: clock(resendIn) }) : this.#word(sends ? "none" : "noSends");
    for (const button of this.#buttons.values()) button.setAttribute("aria-disabled", String(waiting || !sends));
    if (expiresIn <= 60) this.note(this.language.say("expires", { time: clock(expiresIn) }));
  }

  /** Shows an error at the field; empty takes it away. It is described by the field and announced if focus stays. */
  error(text: string): void {
    const field = this.step === "number" ? this.to : this.code;
    if (this.#error.textContent !== text) this.#unsay(this.#error.textContent!);
    this.#error.textContent = text;
    for (const one of [this.to, this.code]) one.toggleAttribute("aria-invalid", false);
    if (text) field.setAttribute("aria-invalid", "true");
  }

  /** Moves the focus to the field and says the error once: the field's description says it if the focus moves. */
  focusError(text: string): void {
    const field = this.step === "number" ? this.to : this.code;
    const stays = field.matches(":focus");
    this.error(text);
    field.focus();
    field.select();
    if (stays) this.say(text, true);
    else this.hush();
  }

  focus(): void {
    if (this.step === "number") this.to.focus();
    else if (this.step === "code") this.code.focus();
    else this.#title.focus();
  }

  /** Shows a line that is no error of a field. */
  note(text: string): void {
    if (this.#note.textContent !== text) this.#note.textContent = text;
  }

  /** Announces to screen readers, at most three times a minute unless it answers the person's own act. */
  say(text: string, always = false): void {
    const now = performance.now();
    this.#said = this.#said.filter((time) => now - time < WINDOW);
    if (!always && this.#said.length >= MOST_IN_WINDOW) return this.hush(); // what stood there is true no more
    this.#said.push(now);
    this.#status.textContent = this.#status.textContent === text ? `${text}\u00a0` : text;
  }

  /** Takes away what was announced: it may be true no more. Nothing is read out for that. */
  hush(): void {
    if (this.#status.textContent) this.#status.textContent = "";
  }

  #unsay(text: string): void {
    if (this.#status.textContent!.trim() === text) this.hush();
  }

  /** Says that a human check is made, and gives the place for it. */
  openCheck(): HTMLElement {
    this.#check.hidden = false;
    this.say(this.#word("check"), true);
    return this.#check;
  }

  closeCheck(): void {
    this.#check.hidden = true;
    this.#check.replaceChildren();
    this.hush();
  }

  /** The line about the message. */
  get lead(): string {
    return this.#line;
  }

  set busy(busy: boolean) {
    this.root.setAttribute("aria-busy", String(busy));
    if (busy) this.#button.setAttribute("aria-disabled", "true");
    else this.#button.removeAttribute("aria-disabled");
  }

  /** One button for each way, made once, so that focus stays where it is. */
  #showWays(challenge: Challenge): void {
    const others = challenge.channels_left.filter((channel) => channel !== challenge.channel);
    const wanted = new Map<string, [string, Channel | undefined]>([
      ["", [this.#word("again"), challenge.channels_left.includes(challenge.channel) ? challenge.channel : undefined]],
    ]);
    for (const channel of others) {
      const name = channel === "voice" ? this.#word("call") : this.language.say("by", { channel: this.language.words[channel] });
      wanted.set(channel, [name, channel]);
    }
    for (const [key, button] of this.#buttons) {
      if (wanted.has(key)) continue;
      if (button.matches(":focus")) this.#buttons.get("")!.focus();
      button.remove();
      this.#buttons.delete(key);
    }
    for (const [key, [name, channel]] of wanted) {
      const button = this.#buttons.get(key) ?? this.#link("", () => undefined);
      button.textContent = name;
      button.onclick = () => button.ariaDisabled !== "true" && this.acts.resend(channel);
      if (!this.#buttons.has(key)) this.#ways.append(button);
      this.#buttons.set(key, button);
    }
  }

  #link(name: string, click: () => void): HTMLButtonElement {
    return make("button", { class: "otp-link", type: "button", click }, name);
  }

  #word(name: Name): string {
    return this.language.words[name];
  }
}

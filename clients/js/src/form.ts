// <otp-form>: a number, then a code, then a token. Knows the order of things and whose turn it is; `view.ts` knows
// elements, `client.ts` the calls.

import { OtpClient, newKey, OtpError, type Challenge, type Channel, type Problem, type SendFields } from "./client.js";
import { findCode } from "./codes.js";
import { solveCheck } from "./human.js";
import { Memory } from "./memory.js";
import { service, version } from "./origin.js";
import { adoptStyle } from "./style.js";
import { View } from "./view.js";
import { WebOtp } from "./webotp.js";
import { loadLanguage, type Language, type Name } from "./words.js";

const TICK = 500;
const POLL = 2000;
const WARN_AT = 60;
const MOST_CHECKS = 3;
const ENDS: Record<string, Name> = { expired: "expired", exhausted: "exhausted", undeliverable: "undelivered", cancelled: "expired" };
const LATER = new Set(["busy", "store_unavailable", "no_worker", "human_check_unavailable", "internal_error"]);
const OURS = new Set(["invalid_number", "no_route", "number_opted_out", "invalid_request", "channel_not_available"]);

// Node has no elements; there, only the client is of use.
const Base = globalThis.HTMLElement ?? (class {} as typeof HTMLElement);

interface Act {
  what: string;
  key: string;
}

export class OtpForm extends Base {
  #view: View | undefined;
  #client!: OtpClient;
  #memory!: Memory;
  #challenge: Challenge | undefined;
  /** The number as the person typed it: in this page's memory only. */
  #to = "";
  #resendAt = 0;
  #expiresAt = 0;
  #warned = false;
  /** The call that runs, and when it will have ended: another act waits for it, the same one is not done twice. */
  #doing = "";
  #acts = new Set<string>();
  #done: Promise<void> = Promise.resolve();
  #tried = new Set<string>();
  #act: Act | undefined;
  #length = 0;
  #webotp = new WebOtp();
  #leave: AbortController | undefined;
  #verified = false;

  connectedCallback(): void {
    this.#leave?.abort();
    this.#leave = new AbortController();
    void this.#start(this.#leave.signal);
  }

  disconnectedCallback(): void {
    this.#webotp.stop();
    this.#leave?.abort();
  }

  /** Forgets everything and asks for a number again. */
  reset(): void {
    this.#forget();
    this.#to = this.#view!.to.value = "";
    this.#view!.show("number");
  }

  async #start(signal: AbortSignal): Promise<void> {
    this.#client ??= new OtpClient(this.#service, this.getAttribute("key") ?? "");
    this.#memory ??= new Memory(`otp-form:${this.getAttribute("purpose") ?? ""}`);
    if (!this.#view) {
      const page = this.closest("[lang]")?.getAttribute("lang");
      const wanted = page ? [page, ...navigator.languages] : navigator.languages;
      const language = await loadLanguage(wanted, this.#service && `${this.#service}/otp-${version}`);
      if (signal.aborted) return;
      adoptStyle(this.getRootNode() as Document | ShadowRoot);
      this.#view = this.#build(language);
    }
    this.#listen(signal);
    const id = this.getAttribute("challenge") ?? this.#memory.challenge;
    if (id && !this.#challenge) void this.#resume(id);
  }

  #listen(signal: AbortSignal): void {
    this.#ownForm().addEventListener("submit", (event) => this.#submitted(event), { signal, capture: true });
    globalThis.addEventListener("pagehide", () => this.#webotp.stop(), { signal });
    globalThis.addEventListener("pageshow", (event) => event.persisted && this.#refresh(), { signal });
    document.addEventListener("visibilitychange", () => document.hidden || this.#refresh(), { signal });
    const timers = [setInterval(() => this.#tick(), TICK), setInterval(() => document.hidden || this.#refresh(), POLL)];
    signal.addEventListener("abort", () => timers.forEach((timer) => clearInterval(timer)));
  }

  get #service(): string {
    return (this.getAttribute("service") ?? service()).replace(/\/+$/, "");
  }

  #build(language: Language): View {
    const typed = this.querySelector<HTMLInputElement>("input[type=tel]");
    const level = Number(this.getAttribute("heading") ?? 2);
    const view = new View(
      language,
      {
        changeNumber: () => this.#changeNumber(),
        resend: (channel) => void this.#resend(channel),
        paste: (event) => this.#pasted(event),
        input: (event) => this.#typed(event as InputEvent),
      },
      level,
    );
    view.to.value = typed?.value ?? "";
    const focused = typed?.matches(":focus");
    // Without a form around it, it brings its own, so that Enter works. Its fields have no names: nothing is posted.
    if (this.closest("form")) this.replaceChildren(view.root);
    else {
      const form = document.createElement("form");
      form.noValidate = true;
      form.append(view.root);
      this.replaceChildren(form);
    }
    if (focused) view.focus();
    return view;
  }

  #ownForm(): HTMLFormElement {
    return this.closest("form") ?? this.querySelector("form")!;
  }

  #submitted(event: Event): void {
    if (this.#verified) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    const { step } = this.#view!;
    if (step === "number") void this.#send();
    else if (step === "code") void this.#verify();
    else if (step === "ended") this.#restart();
  }

  // A number ------------------------------------------------------------------------------------------------------

  async #send(): Promise<void> {
    const view = this.#view!;
    const to = view.to.value.trim();
    if (!/\p{Nd}/u.test(to)) return view.focusError(view.language.words.noTo);
    const running = this.#challenge?.status === "pending" && same(to, this.#to) && this.#left(this.#resendAt) > 0;
    if (running) return this.#showCode();
    const fields = this.#fields();
    const challenge = await this.#do(`send ${to}`, (key, proof) => this.#client.send(to, { ...fields, ...proof }, { idempotencyKey: key }));
    if (!challenge) return;
    this.#to = to;
    this.#begin(challenge);
    this.#emit("otp-sent", { challenge });
  }

  #fields(): SendFields {
    const fields: SendFields = { locale: this.#view!.language.tag };
    for (const name of ["purpose", "country", "reference"] as const) {
      const value = this.getAttribute(name);
      if (value) fields[name] = value;
    }
    return { ...fields, ...this.#binding() };
  }

  #binding(): Pick<SendFields, "binding"> {
    const binding = this.getAttribute("binding");
    return binding ? { binding: JSON.parse(binding) } : {};
  }

  #changeNumber(): void {
    this.#webotp.stop();
    this.#view!.show("number");
    this.#view!.to.value = this.#to;
    this.#view!.focus();
  }

  // A challenge ---------------------------------------------------------------------------------------------------

  async #resume(id: string): Promise<void> {
    try {
      const challenge = await this.#client.status(id);
      if (challenge.status === "pending" || this.hasAttribute("challenge")) this.#begin(challenge, false);
      else this.#forget();
    } catch (error) {
      if (problemOf(error).code !== "challenge_not_found") this.#fail(problemOf(error));
      else if (this.hasAttribute("challenge")) this.#end("expired");
      else this.#forget();
    }
  }

  #begin(challenge: Challenge, focus = true): void {
    this.#tried.clear();
    this.#warned = false;
    this.#memory.challenge = challenge.challenge_id;
    this.#view!.code.value = "";
    this.#update(challenge);
    if (challenge.status === "pending") this.#showCode(focus);
  }

  #showCode(focus = true): void {
    const view = this.#view!;
    view.show("code");
    this.#update(this.#challenge!);
    if (focus) view.focus();
    void this.#webotp.ask(this.#challenge!.challenge_id, (code) => this.#fill(code));
  }

  /** Takes over what the service says about the running challenge. */
  #update(challenge: Challenge): void {
    const view = this.#view!;
    const line = this.#challenge?.channel;
    if (challenge.deliveries.length !== this.#challenge?.deliveries.length) this.#tried.clear();
    this.#challenge = challenge;
    this.#length = challenge.code_length;
    this.#resendAt = deadline(challenge.resend_in, this.#resendAt);
    this.#expiresAt = deadline(challenge.expires_in, this.#expiresAt);
    const why = ENDS[challenge.status];
    if (why) return this.#end(why);
    view.showChallenge(challenge, this.#to || challenge.to, !this.hasAttribute("challenge"));
    if (line && line !== challenge.channel) view.say(view.lead);
    this.#tick();
  }

  async #refresh(): Promise<void> {
    const id = this.#challenge?.challenge_id;
    if (!id || this.#doing || this.#view!.step !== "code") return;
    try {
      const challenge = await this.#client.status(id);
      if (this.#challenge?.challenge_id === id && this.#view!.step === "code" && !this.#doing) this.#update(challenge);
    } catch (error) {
      // The next one may come through.
      if (problemOf(error).code === "challenge_not_found" && this.#view!.step === "code") this.#end("expired");
    }
  }

  #tick(): void {
    const view = this.#view!;
    if (view.step !== "code" || !this.#challenge) return;
    const expires = this.#left(this.#expiresAt);
    if (expires <= 0) return this.#end("expired");
    view.tick(this.#left(this.#resendAt), expires, this.#challenge.sends_left > 0);
    if (expires <= WARN_AT && !this.#warned) {
      this.#warned = true;
      view.say(view.language.say("expires", { time: `${expires} s` }), true);
    }
  }

  #left(time: number): number {
    return Math.max(0, Math.ceil((time - performance.now()) / 1000));
  }

  #end(why: Name): void {
    if (this.#view!.step === "ended") return;
    const held = this.#view!.root.contains(document.activeElement);
    this.#forget();
    this.#view!.show("ended", why);
    if (held) this.#view!.focus();
    else this.#view!.say(this.#view!.language.words[why], true);
    this.#emit("otp-ended", { why });
  }

  #forget(): void {
    this.#webotp.stop();
    this.#challenge = undefined;
    this.#memory.challenge = null;
  }

  /** The one way out of an end: the page's own, or a new code for the number that was typed. */
  #restart(): void {
    const address = this.getAttribute("restart");
    if (address) return location.assign(address);
    this.#changeNumber();
    if (this.#to) void this.#send();
  }

  async #resend(channel: Channel | undefined): Promise<void> {
    const id = this.#challenge!.challenge_id;
    this.#webotp.stop();
    const answer = await this.#do(`resend ${id} ${channel ?? ""}`, (key, proof) =>
      this.#client.resend(id, { ...(channel && { channel }), ...proof }, { idempotencyKey: key }),
    );
    if (!answer) return;
    this.#warned = false;
    this.#challenge = answer; // so that the new channel is said once, below
    this.#update(answer);
    this.#view!.error("");
    this.#view!.say(this.#view!.language.words.fresh);
  }

  // A code --------------------------------------------------------------------------------------------------------

  #pasted(event: ClipboardEvent): void {
    const found = findCode(event.clipboardData?.getData("text") ?? "", this.#length);
    if (!("code" in found)) return; // as it is: the person sees what was pasted
    event.preventDefault();
    this.#fill(found.code);
  }

  /** Puts a whole code into the field as one edit that the person can undo. */
  #fill(code: string): void {
    const field = this.#view!.code;
    field.focus();
    field.select();
    // The one way that keeps the browser's undo; it is old, but every browser has it.
    if (!document.execCommand("insertText", false, code)) field.value = code;
    this.#complete();
  }

  #typed(event: InputEvent): void {
    const view = this.#view!;
    view.error("");
    if (event.target !== view.code || event.isComposing) return;
    // Typing adds one character at a time. What adds more is an autofill, a drop or a keyboard's suggestion.
    const typed = event.inputType?.startsWith("delete") || event.inputType?.startsWith("history") || event.data?.length === 1;
    if (!typed) this.#complete();
  }

  /** Submits a code that came as a whole, once. */
  #complete(): void {
    const found = findCode(this.#view!.code.value, this.#length);
    const wanted = this.getAttribute("auto-submit") !== "off";
    if (wanted && "code" in found && !this.#tried.has(found.code)) void this.#verify();
  }

  async #verify(): Promise<void> {
    const view = this.#view!;
    const { words } = view.language;
    const found = findCode(view.code.value, this.#length);
    if (!("code" in found)) {
      const name = ({ empty: "noCode", form: "badCode", several: "several" } as const)[found.none];
      return view.focusError(view.language.say(name, { n: this.#length }));
    }
    const { code } = found;
    if (this.#tried.has(code)) return view.focusError(words.wrong); // a guess is not spent twice on it
    this.#webotp.stop();
    const id = this.#challenge!.challenge_id;
    const fields = { ...this.#binding(), ...(this.hasAttribute("remember") && { remember_device: true }) };
    const verified = await this.#do(`verify ${id} ${code}`, (key) => this.#client.verify(id, code, fields, { idempotencyKey: key }), (problem) => {
      if (problem.code !== "wrong_code") return false;
      this.#tried.add(code);
      if (problem.checks_left < 1) this.#end("exhausted");
      else view.focusError(`${words.wrong} ${view.language.count("tries", problem.checks_left)}`);
      return true;
    });
    if (!verified) return;
    this.#forget();
    view.code.value = view.to.value = this.#to = "";
    view.show("done");
    view.focus();
    this.#verified = true;
    if (this.#emit("otp-verified", verified)) this.#post(verified.token);
  }

  /** Submits the form around this one with the token, if there is one with somewhere to go. */
  #post(token: string): void {
    const form = this.parentElement?.closest("form");
    if (!form) return;
    const field = document.createElement("input");
    field.type = "hidden";
    field.name = this.getAttribute("name") ?? "otp_token";
    field.value = token;
    this.append(field);
    form.requestSubmit();
  }

  // Calls ---------------------------------------------------------------------------------------------------------

  /** Makes one call at a time, with the same key while its outcome is unknown, and with a solved check if asked. */
  async #do<T>(
    what: string,
    call: (key: string, proof: { human_proof?: string }) => Promise<T>,
    explained: (problem: Problem) => boolean = () => false,
  ): Promise<T | undefined> {
    if (this.#acts.has(what)) return undefined; // pressed twice
    this.#acts.add(what);
    const { step } = this.#view!;
    while (this.#doing) await this.#done;
    if (this.#view!.step !== step) return void this.#acts.delete(what); // it came too late
    this.#doing = what;
    let end = () => {};
    this.#done = new Promise((resolve) => (end = resolve));
    this.#view!.busy = true;
    if (this.#act?.what !== what) this.#act = { what, key: newKey() };
    const { key } = this.#act;
    try {
      const answer = await this.#checked((proof) => call(key, proof));
      this.#act = undefined;
      return answer;
    } catch (error) {
      const problem = problemOf(error);
      if (problem.code !== "no_answer" && !LATER.has(problem.code)) this.#act = undefined;
      this.#view!.busy = false;
      if (!explained(problem)) this.#fail(problem);
      return undefined;
    } finally {
      this.#view!.busy = false;
      this.#doing = "";
      this.#acts.delete(what);
      end();
    }
  }

  async #checked<T>(call: (proof: { human_proof?: string }) => Promise<T>): Promise<T> {
    let proof = {};
    for (let left = MOST_CHECKS; ; left -= 1) {
      try {
        return await call(proof);
      } catch (error) {
        const problem = problemOf(error);
        if (left === 0) throw error;
        if (problem.code === "human_check_required") proof = await this.#solve(problem);
        else if (problem.code === "human_check_failed") proof = {};
        else throw error;
      }
    }
  }

  async #solve(problem: Problem & { code: "human_check_required" }): Promise<{ human_proof: string }> {
    const view = this.#view!;
    const line = document.createElement("p");
    line.textContent = view.language.words.check;
    view.check.replaceChildren(line);
    view.check.hidden = false;
    view.say(line.textContent, true);
    try {
      const proof = await solveCheck(problem.human_check, this.#service, view.check, view.language.tag);
      if (!proof) throw new OtpError({ ...problem, code: "human_check_failed" });
      return { human_proof: proof };
    } finally {
      view.check.hidden = true;
      view.check.replaceChildren();
    }
  }

  /** Says in people's words what went wrong, where it can be put right. */
  #fail(problem: Problem): void {
    const view = this.#view!;
    const { language } = view;
    const { words } = language;
    if (problem.code === "challenge_not_found") return this.#end("expired");
    if (problem.code === "no_attempts_left") return this.#end("exhausted");
    if (problem.code === "resend_too_early") this.#resendAt = performance.now() + 1000 * (problem.retry_after ?? 1);
    const text = OURS.has(problem.code)
      ? words[problem.code === "no_route" || problem.code === "number_opted_out" ? "noRoute" : "badTo"]
      : problem.code === "too_many_requests"
        ? language.say("limit", { when: language.when(problem.retry_after ?? 60) })
        : words[nameOf(problem)];
    if (nameOf(problem) === "setup") console.error(`otp-form: ${problem.code}`); // for the page's developer
    if (OURS.has(problem.code) && view.step === "number") view.focusError(text);
    else {
      view.note(text);
      view.say(text, true);
    }
    this.#emit("otp-problem", { code: problem.code });
  }

  #emit(name: string, detail: object): boolean {
    return this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, cancelable: true }));
  }
}

function nameOf(problem: Problem): Name {
  if (problem.code === "no_answer") return problem.status ? "busy" : "offline";
  if (LATER.has(problem.code)) return "busy";
  if (problem.code.startsWith("human_check")) return "noCheck";
  if (problem.code === "no_sends_left") return "noSends";
  if (problem.code.startsWith("idempotency")) return "busy";
  if (problem.code === "resend_too_early" || problem.code === "too_many_requests") return "busy";
  return OURS.has(problem.code) ? "badTo" : "setup";
}

function problemOf(error: unknown): Problem {
  if (error instanceof OtpError) return error.problem;
  throw error;
}

/** The time at which something ends. Answers have whole seconds, so a difference below 1.5 s is rounding. */
function deadline(seconds: number, before: number): number {
  const end = performance.now() + seconds * 1000;
  return Math.abs(end - before) > 1500 ? end : before;
}

/** Whether two spellings are one number, as far as a page can tell. */
function same(one: string, other: string): boolean {
  const bare = (text: string) => text.normalize("NFKC").replace(/[^\p{Nd}+]/gu, "");
  return bare(one) === bare(other);
}

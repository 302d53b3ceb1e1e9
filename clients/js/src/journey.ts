// A number, then a code, then a token: whose turn it is, and what an answer means for the person. Knows the order of
// things; `view.ts` knows elements, `calls.ts` how calls are made, `form.ts` the page around it.

import { languagesOf, memoryOf, sendFields, serviceOf, verifyFields } from "./attributes.js";
import { Calls, type Call } from "./calls.js";
import { OtpClient, type Challenge, type Channel, type Verified } from "./client.js";
import { CodeEntry } from "./code_entry.js";
import { Countdown } from "./countdown.js";
import type { OtpFormEvents } from "./events.js";
import { solveCheck } from "./human.js";
import { Memory } from "./memory.js";
import { version } from "./origin.js";
import { problemOf, type HumanCheckRequired, type Problem } from "./problems.js";
import { Reading } from "./reading.js";
import { advise, explain, isOfNumber, isOfSetup } from "./refusal.js";
import { sameNumber } from "./spelling.js";
import { View } from "./view.js";
import { WebOtp } from "./webotp.js";
import { loadLanguage, type Language } from "./words.js";

type End = OtpFormEvents["otp-ended"]["detail"]["why"];
const ENDS: Record<string, End> = {
  expired: "expired",
  exhausted: "exhausted",
  undeliverable: "undelivered",
  cancelled: "expired",
  verified: "expired", // elsewhere, or before a reload: the token is there
};

export class Journey {
  readonly view: View;
  readonly #client: OtpClient;
  readonly #memory: Memory;
  readonly #calls: Calls;
  readonly #entry: CodeEntry;
  readonly #reading = new Reading();
  readonly #countdown = new Countdown();
  readonly #webotp = new WebOtp();
  #challenge: Challenge | undefined;
  /** The number as the person typed it: in this page's memory only. */
  #to = "";

  /** Loads the person's words and begins at the number; `verified` gets the token at the end. */
  static async begin(form: HTMLElement, verified: (token: string) => void): Promise<Journey> {
    const address = serviceOf(form);
    const language = await loadLanguage(languagesOf(form), address && `${address}/otp-${version}`);
    return new Journey(form, language, verified);
  }

  private constructor(
    private readonly form: HTMLElement,
    language: Language,
    private readonly verified: (token: string) => void,
  ) {
    this.#client = new OtpClient(serviceOf(form), (form.getAttribute("key") ?? "").trim());
    this.#memory = new Memory(memoryOf(form));
    this.view = new View(
      language,
      {
        changeNumber: () => this.#changeNumber(),
        resend: (channel) => this.#resend(channel),
        paste: (event) => this.#entry.paste(event),
        input: (event) => this.#entry.typed(event as InputEvent),
      },
      Number(form.getAttribute("heading") ?? 2),
      form.hasAttribute("country") ? "abroadHint" : "toHint",
    );
    this.#entry = new CodeEntry(this.view, () => form.getAttribute("auto-submit") !== "off" && this.#verify());
    this.#calls = new Calls({
      place: () => this.view.step,
      busy: (busy) => this.#busy(busy),
      solve: (problem) => this.#solve(problem),
    });
  }

  /** Does what the step's button says. */
  submit(): void {
    const { step } = this.view;
    if (step === "number") this.#send();
    else if (step === "code") this.#verify();
    else if (step === "ended") this.#restart();
  }

  /** Forgets everything and asks for a number again. */
  reset(): void {
    this.#forget();
    this.#to = this.view.to.value = "";
    this.view.show("number");
  }

  /** Nobody looks any more: the browser need not wait for an SMS. */
  stop(): void {
    this.#webotp.stop();
  }

  /** Takes up the challenge that the page names or remembers, if there is none here. */
  async resume(): Promise<void> {
    const given = this.form.getAttribute("challenge");
    const id = given ?? this.#memory.challenge;
    if (!id || this.#challenge) return;
    try {
      const challenge = await this.#client.status(id);
      if (this.#challenge || this.#calls.running) return; // the person was faster, with another one
      if (challenge.status === "pending" || given) this.#begin(challenge, false);
      else this.#forget();
    } catch (error) {
      const problem = problemOf(error);
      if (problem.code !== "challenge_not_found") this.#refused(problem);
      else if (given) this.#end("expired");
      else this.#forget();
    }
  }

  /** Asks the service how the running challenge is. */
  async refresh(): Promise<void> {
    if (!this.#challenge || this.#calls.running || this.view.step !== "code") return;
    const found = await this.#reading.read(this.#client, this.#challenge.challenge_id);
    if (this.view.step !== "code" || !found) return;
    if (found === "gone") return this.#end("expired");
    if (found.status === "verified" && this.#calls.repeat()) return; // it was this form, whose answer was lost
    this.#update(found);
  }

  /** Shows the time that has passed. */
  tick(): void {
    if (this.view.step !== "code" || !this.#challenge) return;
    const { resendIn, expiresIn } = this.#countdown;
    if (expiresIn <= 0) return this.#end("expired");
    this.view.tick(resendIn, expiresIn, this.#challenge.sends_left > 0);
    const { language } = this.view;
    if (this.#countdown.warns()) this.view.say(language.say("expires", { time: language.seconds(expiresIn) }), true);
  }

  // A number ------------------------------------------------------------------------------------------------------

  #send(): void {
    const { view } = this;
    const to = view.to.value.trim();
    if (!/\p{Nd}/u.test(to)) return view.focusError(view.language.words.noTo);
    if (this.#challenge && sameNumber(to, this.#to) && this.#countdown.resendIn > 0) return this.#showCode();
    this.#call<Challenge>({
      what: `send ${to}`,
      ask: (key, proof) => this.#client.send(to, { ...sendFields(this.form, view.language.tag), ...proof }, { idempotencyKey: key }),
      answered: (challenge) => {
        this.#to = to;
        this.#begin(challenge);
        this.#emit("otp-sent", { challenge });
      },
    });
  }

  #changeNumber(): void {
    this.stop();
    this.view.show("number");
    this.view.to.value = this.#to;
    this.view.focus();
  }

  // A challenge ---------------------------------------------------------------------------------------------------

  #begin(challenge: Challenge, focus = true): void {
    this.#entry.renew();
    this.#countdown.renew();
    this.#memory.challenge = challenge.challenge_id;
    this.view.code.value = "";
    this.#update(challenge);
    if (challenge.status === "pending") this.#showCode(focus);
  }

  #showCode(focus = true): void {
    this.view.show("code");
    this.#draw();
    if (!this.#challenge) return; // it has just expired
    if (focus) this.view.focus();
    void this.#webotp.ask(this.#challenge.challenge_id, (code) => this.#entry.fill(code));
  }

  /** Takes over what the service says about the running challenge. */
  #update(challenge: Challenge): void {
    const before = this.#challenge;
    if (challenge.deliveries.length !== before?.deliveries.length) this.#entry.renew();
    this.#challenge = challenge;
    this.#entry.length = challenge.code_length;
    this.#countdown.follow(challenge);
    const why = ENDS[challenge.status];
    if (why) this.#end(why);
    else if (this.view.step === "code") this.#draw(before);
  }

  /** Shows the running challenge, and says so if it goes by another channel than before. */
  #draw(before?: Challenge): void {
    const { view } = this;
    const challenge = this.#challenge!;
    view.showChallenge(challenge, this.#to || challenge.to, !this.form.hasAttribute("challenge"));
    const moved = before?.challenge_id === challenge.challenge_id && before.channel !== challenge.channel;
    if (moved) view.say(view.lead);
    this.tick();
  }

  #resend(channel: Channel | undefined): void {
    const id = this.#challenge!.challenge_id;
    this.stop();
    this.#call<Challenge>({
      what: `resend ${id} ${channel ?? ""}`,
      ask: (key, proof) => this.#client.resend(id, { ...(channel && { channel }), ...proof }, { idempotencyKey: key }),
      answered: (challenge) => {
        this.#countdown.renew();
        this.#challenge = challenge; // so that the new channel is said once, below
        this.#update(challenge);
        if (this.view.step !== "code") return; // the person changes the number meanwhile
        this.view.error("");
        this.view.say(this.view.language.words.fresh);
      },
    });
  }

  #end(why: End): void {
    const { view } = this;
    if (view.step === "ended") return;
    const held = view.root.matches(":focus-within");
    this.#forget();
    view.show("ended", why);
    if (held) view.focus();
    else view.say(view.language.words[why], true);
    this.#emit("otp-ended", { why });
  }

  /** The one way out of an end: the page's own, or a new code for the number that was typed. */
  #restart(): void {
    const address = this.form.getAttribute("restart");
    if (address) return location.assign(address);
    this.#changeNumber();
    if (this.#to) this.#send();
  }

  #forget(): void {
    this.stop();
    this.#reading.stop();
    this.#challenge = undefined;
    this.#memory.challenge = null;
  }

  // A code --------------------------------------------------------------------------------------------------------

  #verify(): void {
    const code = this.#entry.read();
    if (!code) return;
    this.stop();
    const id = this.#challenge!.challenge_id;
    this.#call<Verified>({
      what: `verify ${id} ${code}`,
      ask: (key) => this.#client.verify(id, code, verifyFields(this.form), { idempotencyKey: key }),
      answered: (verified) => this.#verified(verified),
      refused: (problem) => {
        if (problem.code !== "wrong_code") this.#refused(problem);
        else if (problem.checks_left < 1) this.#end("exhausted");
        else this.#entry.refuse(code, problem.checks_left);
      },
    });
  }

  #verified(verified: Verified): void {
    const { view } = this;
    this.#forget();
    view.code.value = view.to.value = this.#to = "";
    view.show("done");
    view.focus();
    if (this.#emit("otp-verified", verified)) this.verified(verified.token);
  }

  // Calls ---------------------------------------------------------------------------------------------------------

  #call<T>(call: Omit<Call<T>, "refused"> & Partial<Call<T>>): void {
    void this.#calls.make({ refused: (problem) => this.#refused(problem), ...call });
  }

  #busy(busy: boolean): void {
    this.view.busy = busy;
    if (!busy) return;
    this.#reading.stop();
    this.view.note(""); // about a call that failed before
    this.view.hush();
  }

  /** Lets the person solve a check inside the form. */
  async #solve({ human_check: check }: HumanCheckRequired): Promise<string | undefined> {
    const place = this.view.openCheck();
    try {
      return await solveCheck(check, serviceOf(this.form), place, this.view.language);
    } finally {
      this.view.closeCheck();
    }
  }

  /** Says in people's words what went wrong, where it can be put right. */
  #refused(problem: Problem): void {
    const { view } = this;
    if (problem.code === "challenge_not_found") return this.#end("expired");
    if (problem.code === "no_attempts_left") return this.#end("exhausted");
    if (problem.code === "resend_too_early") this.#countdown.delayResend(problem.retry_after ?? 1);
    const text = explain(problem, view.language);
    if (isOfSetup(problem)) console.error(advise(problem));
    if (isOfNumber(problem) && view.step === "number") view.focusError(text);
    else {
      view.note(text);
      view.say(text, true);
    }
    this.#emit("otp-problem", { code: problem.code });
  }

  #emit<N extends keyof OtpFormEvents>(name: N, detail: OtpFormEvents[N]["detail"]): boolean {
    return this.form.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, cancelable: true }));
  }
}

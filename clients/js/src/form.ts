// <otp-form>: a number, then a code, then a token. Knows the page around it, when it comes and goes, and the ticking of
// the clock; `journey.ts` knows what happens inside.

import { Journey } from "./journey.js";
import { adoptStyle } from "./style.js";

const TICK = 500;
const POLL = 2000;

// Node has no elements; there, only the client is of use.
const Base = globalThis.HTMLElement ?? (class {} as typeof HTMLElement);

export class OtpForm extends Base {
  #journey: Journey | undefined;
  #leave: AbortController | undefined;

  connectedCallback(): void {
    this.#leave?.abort();
    this.#leave = new AbortController();
    void this.#start(this.#leave.signal);
  }

  disconnectedCallback(): void {
    this.#journey?.stop();
    this.#leave?.abort();
  }

  /** Forgets everything and asks for a number again. */
  reset(): void {
    this.#journey?.reset();
  }

  async #start(signal: AbortSignal): Promise<void> {
    if (!this.#journey) {
      const journey = await Journey.begin(this, (token) => this.#post(token));
      if (signal.aborted) return;
      adoptStyle(this.getRootNode() as Document | ShadowRoot);
      this.#place(journey);
      this.#journey = journey;
    }
    this.#listen(this.#journey, signal);
    void this.#journey.resume();
  }

  /** Puts the form's elements in the place of the plain ones, and takes over what was typed there. */
  #place({ view }: Journey): void {
    const typed = this.querySelector<HTMLInputElement>("input[type=tel]");
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
  }

  #listen(journey: Journey, signal: AbortSignal): void {
    const refresh = () => document.hidden || void journey.refresh();
    const form = this.closest("form") ?? this.querySelector("form")!;
    form.addEventListener("submit", (event) => this.#submitted(journey, event), { signal, capture: true });
    globalThis.addEventListener("pagehide", () => journey.stop(), { signal });
    globalThis.addEventListener("pageshow", (event) => event.persisted && refresh(), { signal });
    document.addEventListener("visibilitychange", refresh, { signal });
    const timers = [setInterval(() => journey.tick(), TICK), setInterval(refresh, POLL)];
    signal.addEventListener("abort", () => timers.forEach((timer) => clearInterval(timer)));
  }

  #submitted(journey: Journey, event: Event): void {
    if (journey.view.step === "done") return; // the page's own form, with the token
    event.preventDefault();
    event.stopImmediatePropagation();
    journey.submit();
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
}

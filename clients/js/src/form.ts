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
  /** The form that it brings where the page has none around it. Its fields have no names: nothing is posted. */
  #own: HTMLFormElement | undefined;
  #token: HTMLInputElement | undefined;

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
    this.#token?.remove();
    this.#journey?.reset();
  }

  async #start(signal: AbortSignal): Promise<void> {
    if (!this.#journey) {
      await scripts();
      const journey = await Journey.begin(this, (token) => this.#post(token));
      if (signal.aborted) return;
      this.#journey = journey;
    }
    adoptStyle(this.getRootNode() as Document | ShadowRoot);
    this.#place(this.#journey);
    this.#listen(this.#journey, signal);
    void this.#journey.resume();
  }

  /** Puts the form's elements in the place of the plain ones, and takes over what was typed there. */
  #place({ view }: Journey): void {
    const inside = this.parentElement?.closest("form") ? view.root : this.#formAround(view.root);
    if (inside.parentElement === this) return; // it was moved as a whole
    const typed = this.querySelector<HTMLInputElement>("input[type=tel]");
    if (typed) view.to.value = typed.value;
    const focused = typed?.matches(":focus");
    this.replaceChildren(inside);
    if (focused) view.focus();
  }

  /** Gives a form of its own, so that Enter works. */
  #formAround(root: HTMLElement): HTMLFormElement {
    this.#own ??= document.createElement("form");
    this.#own.noValidate = true;
    if (root.parentElement !== this.#own) this.#own.append(root);
    return this.#own;
  }

  #listen(journey: Journey, signal: AbortSignal): void {
    const refresh = () => document.hidden || void journey.refresh();
    const form = this.closest("form") ?? this.#own!;
    form.addEventListener("submit", (event) => this.#submitted(journey, event), { signal, capture: true });
    globalThis.addEventListener("pagehide", () => journey.stop(), { signal });
    globalThis.addEventListener("pageshow", (event) => event.persisted && this.#comeBack(journey), { signal });
    document.addEventListener("visibilitychange", refresh, { signal });
    const timers = [setInterval(() => journey.tick(), TICK), setInterval(refresh, POLL)];
    signal.addEventListener("abort", () => timers.forEach((timer) => clearInterval(timer)));
  }

  /** Begins again if all was done before the person left, as a reload does: the token has been used. */
  #comeBack(journey: Journey): void {
    if (journey.view.step === "done") this.reset();
    else void journey.refresh();
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
    this.#token ??= document.createElement("input");
    this.#token.type = "hidden";
    this.#token.name = this.getAttribute("name") ?? "otp_token";
    this.#token.value = token;
    this.append(this.#token);
    form.requestSubmit();
  }
}

/** Waits until the page's own scripts have run, as they may add words. */
function scripts(): Promise<unknown> | undefined {
  const [visit] = performance.getEntriesByType("navigation") as PerformanceNavigationTiming[];
  if (document.readyState === "complete" || !visit || visit.domContentLoadedEventStart > 0) return undefined;
  return new Promise((resolve) => document.addEventListener("DOMContentLoaded", resolve, { once: true }));
}

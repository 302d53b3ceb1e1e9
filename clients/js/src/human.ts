// The human check: loads the service's widget, which works in this form, and gives its result. Knows the widget only.

import type { OtpFormEvents } from "./events.js";
import type { HumanCheck } from "./problems.js";
import type { Language } from "./words.js";

declare const $altcha: { i18n: { set(language: string, words: Record<string, string>): void } };

/** Solves a check in `place`; undefined if this browser or page cannot. */
export async function solveCheck(check: HumanCheck, service: string, place: HTMLElement, language: Language): Promise<string | undefined> {
  if (check.kind !== "altcha") return ask(check, place, language);
  try {
    await import(/* @vite-ignore */ `${service}/otp/human-check/widget.js`);
  } catch {
    return undefined;
  }
  const { check: moment, noCheck: error } = language.words;
  const tag = `otp-${language.tag}`; // the page may use the widget, too, with words of its own
  $altcha.i18n.set(tag, { label: moment, loading: moment, verifying: moment, verified: moment, waitAlert: moment, error });
  const widget = document.createElement("altcha-widget");
  widget.setAttribute("auto", "onload");
  widget.setAttribute("language", tag);
  widget.setAttribute("challenge", JSON.stringify(check.challenge));
  widget.setAttribute("configuration", JSON.stringify({ hideFooter: true, hideLogo: true, humanInteractionSignature: false }));
  return new Promise((resolve) => {
    widget.addEventListener("verified", (event) => resolve((event as CustomEvent).detail.payload));
    widget.addEventListener("statechange", (event) => {
      if ((event as CustomEvent).detail.state === "error") resolve(undefined);
    });
    place.append(widget);
  });
}

/** Lets the page show a vendor's CAPTCHA: it calls `respond` with the result, in the place that it is given. */
function ask(check: HumanCheck, place: HTMLElement, language: Language): Promise<string | undefined> {
  const line = document.createElement("p");
  line.textContent = language.words.check;
  place.append(line);
  return new Promise((resolve) => {
    const detail: OtpFormEvents["otp-human-check"]["detail"] = { check, place, respond: resolve };
    const untaken = place.dispatchEvent(new CustomEvent("otp-human-check", { detail, bubbles: true, cancelable: true }));
    if (untaken) resolve(undefined);
  });
}

// The human check: loads the service's widget, which works in this form, and gives its result. Knows the widget only.

import type { HumanCheck } from "./problems.js";

/** Solves a check in `place`; undefined if this browser or page cannot. */
export async function solveCheck(check: HumanCheck, service: string, place: HTMLElement, language: string): Promise<string | undefined> {
  if (check.kind !== "altcha") return ask(check, place);
  try {
    await import(/* @vite-ignore */ `${service}/otp/human-check/widget.js`);
  } catch {
    return undefined;
  }
  const widget = document.createElement("altcha-widget");
  widget.setAttribute("auto", "onload");
  widget.setAttribute("language", language);
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
function ask(check: HumanCheck, place: HTMLElement): Promise<string | undefined> {
  return new Promise((resolve) => {
    const detail = { check, place, respond: resolve };
    const untaken = place.dispatchEvent(new CustomEvent("otp-human-check", { detail, bubbles: true, cancelable: true }));
    if (untaken) resolve(undefined);
  });
}

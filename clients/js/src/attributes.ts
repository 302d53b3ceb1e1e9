// What a page writes on <otp-form>, read when it is needed. Knows names of attributes and nothing else.

import type { SendFields, VerifyFields } from "./client.js";
import { service } from "./origin.js";
import { OtpError } from "./problems.js";

/** Where the service is: what the page says, or where this script came from. */
export function serviceOf(form: HTMLElement): string {
  return (form.getAttribute("service") ?? service()).replace(/\/+$/, "");
}

/** The name under which the form remembers its challenge: a code for one thing is no code for another. */
export function memoryOf(form: HTMLElement): string {
  const [purpose, ...tied] = ["purpose", "reference", "binding"].map((name) => form.getAttribute(name) ?? "");
  return `otp-form:${purpose}${tied.some(Boolean) ? `:${digest(tied.join("\n"))}` : ""}`;
}

/** Tells texts apart and does not show them (FNV-1a). */
function digest(text: string): string {
  let sum = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) sum = Math.imul(sum ^ byte, 0x01000193);
  return (sum >>> 0).toString(36);
}

/** The languages to try: the page's, then the person's. */
export function languagesOf(form: HTMLElement): readonly string[] {
  const page = languageAround(form);
  return page ? [page, ...navigator.languages] : navigator.languages;
}

/** The nearest `lang`, also outside the shadow root that the form may be in. */
function languageAround(element: Element): string | null {
  const found = element.closest("[lang]");
  if (found) return found.getAttribute("lang");
  const root = element.getRootNode();
  return root instanceof ShadowRoot ? languageAround(root.host) : null;
}

export function sendFields(form: HTMLElement, locale: string): SendFields {
  const fields: SendFields = { locale };
  for (const name of ["purpose", "country", "reference"] as const) {
    const value = form.getAttribute(name);
    if (value) fields[name] = value;
  }
  return { ...fields, ...binding(form) };
}

export function verifyFields(form: HTMLElement): VerifyFields {
  return { ...binding(form), ...(form.hasAttribute("remember") && { remember_device: true }) };
}

function binding(form: HTMLElement): Pick<SendFields, "binding"> {
  const text = form.getAttribute("binding");
  if (!text) return {};
  try {
    return { binding: JSON.parse(text) };
  } catch {
    const errors = [{ field: "binding", rule: "must be JSON" }];
    throw new OtpError({ code: "invalid_request", detail: "Some attributes break a rule.", status: 422, errors });
  }
}

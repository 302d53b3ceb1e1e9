// What a page writes on <otp-form>, read when it is needed. Knows names of attributes and nothing else.

import type { SendFields, VerifyFields } from "./client.js";
import { service } from "./origin.js";

/** Where the service is: what the page says, or where this script came from. */
export function serviceOf(form: HTMLElement): string {
  return (form.getAttribute("service") ?? service()).replace(/\/+$/, "");
}

/** The name under which the form remembers its challenge, for pages with several. */
export function memoryOf(form: HTMLElement): string {
  return `otp-form:${form.getAttribute("purpose") ?? ""}`;
}

/** The languages to try: the page's, then the person's. */
export function languagesOf(form: HTMLElement): readonly string[] {
  const page = form.closest("[lang]")?.getAttribute("lang");
  return page ? [page, ...navigator.languages] : navigator.languages;
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
  return text ? { binding: JSON.parse(text) } : {};
}

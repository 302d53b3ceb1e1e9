// What both builds export.

import { OtpForm } from "./form.js";

export * from "./client.js";
export { findCode } from "./codes.js";
export type { OtpFormEvents } from "./events.js";
export { version } from "./origin.js";
export { addLanguage, type Words } from "./words.js";
export { OtpForm };

/** Defines <otp-form>, once the script's origin is known: elements that are there already start at once. */
export function define(): void {
  if (globalThis.customElements && !customElements.get("otp-form")) customElements.define("otp-form", OtpForm);
}

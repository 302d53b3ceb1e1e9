// What both builds export; in a browser they also define <otp-form>.

import { OtpForm } from "./form.js";

export * from "./client.js";
export { findCode } from "./codes.js";
export { version } from "./origin.js";
export { addLanguage, type Words } from "./words.js";
export { OtpForm };

if (globalThis.customElements && !customElements.get("otp-form")) customElements.define("otp-form", OtpForm);

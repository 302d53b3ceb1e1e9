// What <otp-form> tells the page, for `addEventListener`. Knows types only.

import type { Challenge, HumanCheck, Problem, Verified } from "./client.js";
import type { OtpForm } from "./form.js";

export interface OtpFormEvents {
  "otp-sent": CustomEvent<{ challenge: Challenge }>;
  /** Cancel it to keep the form around this one from being posted. */
  "otp-verified": CustomEvent<Verified>;
  "otp-ended": CustomEvent<{ why: "expired" | "exhausted" | "undelivered" }>;
  "otp-problem": CustomEvent<{ code: Problem["code"] }>;
  /** Cancel it, show the vendor's widget in `place`, and call `respond` with its result. */
  "otp-human-check": CustomEvent<{ check: HumanCheck; place: HTMLElement; respond(proof: string | undefined): void }>;
}

declare global {
  interface HTMLElementTagNameMap {
    "otp-form": OtpForm;
  }
  interface GlobalEventHandlersEventMap extends OtpFormEvents {}
}

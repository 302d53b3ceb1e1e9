// What can go wrong with a call, as a union that TypeScript narrows by `code`. Knows the API's problems and nothing else.

import type { components } from "./spec.js";

type Document = components["schemas"]["Problem"];
type Code = Document["code"];
/** What a page needs to show a human check. */
export type HumanCheck = NonNullable<Document["human_check"]>;
/** A field or header, and the rule that it breaks. */
export type FieldError = NonNullable<Document["errors"]>[number];

interface Told<C extends string> {
  code: C;
  /** For developers, in English. Never show it to a person. */
  detail: string;
  status: number;
  request_id?: string;
  /** Seconds to wait, if waiting helps. */
  retry_after?: number;
  errors?: FieldError[];
}

/** A wrong code; the guess was counted. */
export type WrongCode = Told<"wrong_code"> & { checks_left: number };
/** The guard asks for a human check: solve it, then repeat the call with `human_proof`. */
export type HumanCheckRequired = Told<"human_check_required"> & { human_check: HumanCheck };
/** It may work later: wait `retry_after` seconds. */
export type Wait = Told<"too_many_requests" | "resend_too_early"> & { retry_after: number };
/** Fields of the request break rules. */
export type Invalid = Told<"invalid_request" | "invalid_number" | "channel_not_available" | "token_mismatch"> & {
  errors: FieldError[];
};
/** No readable answer came within the time: offline, a timeout, or a proxy's own page. Whether it was done is unknown. */
export type NoAnswer = Told<"no_answer">;
/** Every other problem of the specification, by its code. */
export type Other = {
  [C in Exclude<Code, (WrongCode | HumanCheckRequired | Wait | Invalid)["code"]>]: Told<C>;
}[Exclude<Code, (WrongCode | HumanCheckRequired | Wait | Invalid)["code"]>];

/** Everything that a call can fail with; branch on `code`. */
export type Problem = WrongCode | HumanCheckRequired | Wait | Invalid | NoAnswer | Other;

/** A call that failed. `problem` says why. */
export class OtpError extends Error {
  override name = "OtpError";
  constructor(readonly problem: Problem) {
    super(`${problem.code}: ${problem.detail}`);
  }
}

/** Gives the problem of a call that failed; any other error is a mistake of this code, and goes on. */
export function problemOf(error: unknown): Problem {
  if (error instanceof OtpError) return error.problem;
  throw error;
}

// A problem in people's words, never the API's `detail`. Pure: knows problems and the names of words.

import type { Problem } from "./problems.js";
import type { Language, Name } from "./words.js";

const PASSING = new Set(["busy", "store_unavailable", "no_worker", "human_check_unavailable", "internal_error"]);
const OF_NUMBER: Record<string, Name> = {
  invalid_number: "badTo",
  invalid_request: "badTo",
  channel_not_available: "badTo",
  no_route: "noRoute",
  number_opted_out: "noRoute",
};
const ADVICE: Record<string, string> = {
  unknown_key: "Is the form's key whole, neither revoked nor expired, and of this service? Compare its first characters with `otp-service keys list`.",
};
const NAMES: Record<string, Name> = {
  ...OF_NUMBER,
  human_check_required: "noCheck",
  human_check_failed: "noCheck",
  no_sends_left: "noSends",
  resend_too_early: "busy",
  idempotency_key_reused: "busy",
  idempotency_key_spent: "busy",
  request_timeout: "busy",
};

/** Says what a person can do about it. */
export function explain(problem: Problem, language: Language): string {
  if (problem.code !== "too_many_requests") return language.words[nameOf(problem)];
  return language.say("limit", { when: language.when(problem.retry_after ?? 60) });
}

/** Whether another number would help. */
export function isOfNumber(problem: Problem): boolean {
  return problem.code in OF_NUMBER;
}

/** Whether only the page's developer can help. */
export function isOfSetup(problem: Problem): boolean {
  return problem.code !== "too_many_requests" && nameOf(problem) === "setup";
}

/** Says in the console what the page's developer is to check. */
export function advise({ code }: Problem): string {
  const advice = ADVICE[code];
  return advice ? `otp-form: ${code}. ${advice}` : `otp-form: ${code}`;
}

/** Whether the call may have been done: its outcome is unknown, or it can be repeated as it is. */
export function isOpen(problem: Problem): boolean {
  return problem.code === "no_answer" || PASSING.has(problem.code);
}

function nameOf(problem: Problem): Name {
  if (problem.code === "no_answer") return problem.status ? "busy" : "offline";
  return PASSING.has(problem.code) ? "busy" : (NAMES[problem.code] ?? "setup");
}

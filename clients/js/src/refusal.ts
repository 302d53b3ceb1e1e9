// A problem in people's words, never the API's `detail`. Pure: knows problems and the names of words.

import type { Problem } from "./problems.js";
import type { Language, Name } from "./words.js";

const PASSING = new Set(["busy", "store_unavailable", "no_worker", "human_check_unavailable", "internal_error"]);
const OF_NUMBER: Record<string, Name> = {
  invalid_number: "badTo",
  no_route: "noRoute",
  number_opted_out: "noRoute",
};
/** What a person can put right by the rule that a number breaks; any other rule is `badTo`. */
const OF_RULE: Record<string, Name> = {
  "must have all digits of a number of its country": "shortTo",
  "must have no more digits than a number of its country": "longTo",
  "must start with + and a country code, or come with 'country'": "noCountry",
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
  channel_not_available: "busy", // what is left is read again every other second
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
  return problem.code in OF_NUMBER || isOfTo(problem);
}

/** Whether only the page's developer can help. */
export function isOfSetup(problem: Problem): boolean {
  return problem.code !== "too_many_requests" && nameOf(problem) === "setup";
}

/** Says in the console what the page's developer is to check. */
export function advise({ code, errors = [] }: Problem): string {
  const advice = ADVICE[code] ?? errors.map(({ field, rule }) => `${field} ${rule}.`).join(" ");
  return advice ? `otp-form: ${code}. ${advice}` : `otp-form: ${code}`;
}

/** Whether the call may have been done: its outcome is unknown, or it can be repeated as it is. */
export function isOpen(problem: Problem): boolean {
  return problem.code === "no_answer" || PASSING.has(problem.code);
}

function nameOf(problem: Problem): Name {
  if (problem.code === "no_answer") return problem.status ? "busy" : "offline";
  if (isOfTo(problem)) return OF_RULE[problem.errors![0]!.rule] ?? "badTo";
  return PASSING.has(problem.code) ? "busy" : (NAMES[problem.code] ?? "setup");
}

/** Whether the number as it was typed breaks a rule, and not an attribute of the page. */
function isOfTo({ code, errors }: Problem): boolean {
  if (code !== "invalid_number" && code !== "invalid_request") return false;
  return errors !== undefined && errors.length > 0 && errors.every(({ field }) => field === "to");
}

// What is true about the message, in one line under its heading. Pure: knows a challenge's deliveries and the words for them.

import type { Challenge, Channel } from "./client.js";
import type { Language, Name } from "./words.js";

const ARRIVED = new Set(["delivered", "read"]);
const ON_ITS_WAY = new Set(["queued", "sending"]);
const FAILED = new Set(["failed", "refused"]);

/** The heading, and the line with `{to}` left in it for the number. */
export function deliveryLine(challenge: Challenge, language: Language): { title: string; line: string } {
  const { deliveries, channel } = challenge;
  const status = deliveries.at(-1)?.status ?? "queued";
  const failed = deliveries.findLast((one) => one.channel !== channel && FAILED.has(one.status));
  const name = lineName(channel, status, failed !== undefined);
  const line = language.say(name, {
    n: challenge.code_length,
    to: "{to}",
    channel: language.words[channel],
    failed: failed ? language.words[failed.channel] : "",
  });
  return { title: language.words[name === "calling" ? "callTitle" : "codeTitle"], line };
}

function lineName(channel: Channel, status: string, fellBack: boolean): Name {
  if (FAILED.has(status)) return "failed";
  if (channel === "voice" && !ARRIVED.has(status)) return "calling";
  if (fellBack && !ON_ITS_WAY.has(status)) return "instead";
  if (ARRIVED.has(status)) return "arrived";
  return ON_ITS_WAY.has(status) ? "sending" : "sent";
}

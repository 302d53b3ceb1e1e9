// Reads a code from what a person typed or pasted: digits of any script, with spaces or dashes, or a whole message.
// Pure: knows texts only.

import { plain } from "./spelling.js";

/** What a text holds: the code in ASCII digits, or why there is none. */
export type Found = { code: string } | { none: "empty" | "form" | "several" };

/** Finds the code of `length` digits in a text. */
export function findCode(text: string, length: number): Found {
  const seen = plain(text);
  if (!seen) return { none: "empty" };
  const bare = seen.replace(/[ -]/g, "");
  if (/^\d+$/.test(bare)) return bare.length === length ? { code: bare } : { none: "form" };
  // The last line of a domain-bound message: "@shop.example #123456".
  const bound = /@[^\s@#]+ ?#(\d+)/.exec(seen);
  if (bound?.[1]?.length === length) return { code: bound[1] };
  const codes = [...new Set(candidates(seen, length))];
  if (codes.length > 1) return { none: "several" };
  return codes[0] ? { code: codes[0] } : { none: "form" };
}

/** Lists runs of `length` digits that are no part of a word, an amount, a date or a longer number; else any such run. */
function candidates(text: string, length: number): string[] {
  const far = runs(text, `(?<!\\d[ .,:/-]|[+@])`, `\\d(?:[ -]?\\d){${length - 1}}`, `(?!%|[ .,:/-]\\d)`);
  return far.length ? far : runs(text, "", `\\d{${length}}`, "");
}

function runs(text: string, before: string, run: string, after: string): string[] {
  const pattern = new RegExp(`${before}(?<![\\d\\p{Lu}\\p{Ll}])${run}(?![\\d\\p{Lu}\\p{Ll}])${after}`, "gu");
  return Array.from(text.matchAll(pattern), ([found]) => found.replace(/\D/g, ""));
}

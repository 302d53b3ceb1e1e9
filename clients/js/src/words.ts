// The words for one person: which language, which plural, how a time is said. Knows words, never what they are about.

import texts from "../languages/en.json" with { type: "json" };
import type { Name } from "./names.js";

export type { Name } from "./names.js";
/** The texts of a language; `{n}`, `{to}` and their like stand for values. */
export type Words = Record<Name, string>;

const english: Words = texts;

const MINUTE = 60;
const HOUR = MINUTE * MINUTE;
const RIGHT_TO_LEFT = new Set(["ar", "fa", "he", "ur"]);
const known = new Map<string, Words>([["en", english]]);
/** What pages added, by tag. */
const added = new Map<string, Partial<Words>>();
/** The languages that the service has files for. */
const SERVED = new Set(["ar", "de", "en", "es", "fr", "hi", "id", "it", "nl", "pt", "tr", "zh"]);

/** Adds a language, or changes words of one; what is left out is in the service's words for it, or else in English. */
export function addLanguage(tag: string, words: Partial<Words>): void {
  const name = tag.toLowerCase();
  added.set(name, { ...added.get(name), ...words });
}

/** Gives the first wanted language that there are words for, loaded from `folder` if need be; otherwise English. */
export async function loadLanguage(wanted: readonly string[], folder: string): Promise<Language> {
  const isKnown = (tag: string) => added.has(tag) || known.has(tag) || (folder !== "" && SERVED.has(tag));
  const tag = wanted.flatMap((one) => [one.toLowerCase(), familyOf(one)]).find(isKnown) ?? "en";
  try {
    return new Language(tag, { ...(await wordsOf(tag, folder)), ...added.get(tag) });
  } catch {
    return new Language("en", { ...english, ...added.get("en") });
  }
}

/** Gives the words that a page's own stand on: none are loaded if the page has all. */
async function wordsOf(tag: string, folder: string): Promise<Words> {
  const family = familyOf(tag);
  const own = added.get(tag) ?? {};
  const isWhole = Object.keys(english).every((name) => name in own);
  if (!known.has(family) && folder && SERVED.has(family) && !isWhole) {
    const answer = await fetch(`${folder}/${family}.json`, { credentials: "omit", signal: AbortSignal.timeout(3000) });
    known.set(family, { ...english, ...(await answer.json()) });
  }
  return known.get(family) ?? english;
}

/** The language of a tag without its script or country: "pt" of "pt-BR". */
function familyOf(tag: string): string {
  return tag.toLowerCase().split("-")[0]!;
}

export class Language {
  constructor(
    readonly tag: string,
    readonly words: Words,
  ) {}

  get direction(): "rtl" | "ltr" {
    return RIGHT_TO_LEFT.has(familyOf(this.tag)) ? "rtl" : "ltr";
  }

  /** The text of `name` with its values. */
  say(name: Name, values: Record<string, string | number> = {}): string {
    return this.words[name].replace(/\{(\w+)\}/g, (_, key: string) => String(values[key] ?? ""));
  }

  /** The text of `name` for a count: the first form for one, the last for all others. */
  count(name: Name, n: number): string {
    const forms = this.words[name].split("|");
    const form = new Intl.PluralRules(this.tag).select(n) === "one" ? forms[0] : forms.at(-1);
    return form!.replace("{n}", String(n));
  }

  /** In how long, as people say it: "in 5 minutes". */
  when(seconds: number): string {
    const [unit, size] = seconds < MINUTE ? (["second", 1] as const) : seconds < HOUR ? (["minute", MINUTE] as const) : (["hour", HOUR] as const);
    return new Intl.RelativeTimeFormat(this.#digits).format(Math.ceil(seconds / size), unit);
  }

  /** How long, as people say it: "60 seconds". */
  seconds(n: number): string {
    return new Intl.NumberFormat(this.#digits, { style: "unit", unit: "second", unitDisplay: "long" }).format(n);
  }

  /** With the digits of the codes, which are those of the countdown, too. */
  get #digits(): string {
    return `${this.tag}-u-nu-latn`;
  }
}

/** A countdown: "0:24". */
export function clock(seconds: number): string {
  return `${Math.floor(seconds / MINUTE)}:${String(seconds % MINUTE).padStart(2, "0")}`;
}

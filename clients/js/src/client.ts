// The API's calls for apps, in a browser or in Node. Each POST has an Idempotency-Key, which is the same when it is
// repeated because no answer came or the service could not work: so nothing is done twice.

import { OtpError, type Problem } from "./problems.js";
import type { components } from "./spec.js";

export { OtpError } from "./problems.js";
export type * from "./problems.js";

type Schemas = components["schemas"];
/** A challenge as a screen may show it. */
export type Challenge = Schemas["Challenge"];
/** A verified challenge, with its token. */
export type Verified = Schemas["Verified"];
/** What a redeemed token proves. */
export type Claims = Schemas["Claims"];
/** The channels that a number would get, in their order. */
export type Options = Schemas["Options"];
/** A channel that can carry a code. */
export type Channel = Challenge["channel"];
export type SendFields = Omit<Schemas["Send"], "to">;
export type VerifyFields = Omit<Schemas["Verify"], "challenge_id" | "code">;
export type OptionsFields = Omit<Schemas["OptionsRequest"], "to">;
export type ResendFields = Schemas["Resend"];
/** What a token must be for. */
export type Expect = NonNullable<Schemas["Redeem"]["expect"]>;

/** For one call: a key that you repeat it with, and a signal that ends it. */
export interface CallOptions {
  idempotencyKey?: string;
  signal?: AbortSignal;
}

export interface RedeemOptions extends CallOptions {
  /** Whether a token of a review number is accepted, too, which nobody proved. */
  acceptReview?: boolean;
}

export interface ClientOptions {
  /** Milliseconds for a call with all its repetitions; 20,000 if omitted. */
  deadline?: number;
  /** Milliseconds for one request; 8,000 if omitted. */
  timeout?: number;
  /** What sends requests; the platform's own `fetch` if omitted. */
  fetch?: typeof fetch;
}

const UNAVAILABLE = 503;
const FIRST_PAUSE = 300;
const KEY_BYTES = 16;

/** Draws an Idempotency-Key. `crypto.randomUUID` would need a secure context. */
export function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(KEY_BYTES));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export class OtpClient {
  readonly #url: string;
  readonly #key: string;
  readonly #deadline: number;
  readonly #timeout: number;
  readonly #fetch: typeof fetch;
  #explained = false;

  /** `url` is the service's address, `key` a publishable key in a page and a secret key on a server. */
  constructor(url: string, key: string, options: ClientOptions = {}) {
    if (/[^\x21-\x7e]/.test(key)) throw new Error("The key has characters that no key has. Copy it whole, and nothing beside it.");
    if (key.startsWith("sk_") && "document" in globalThis) throw new Error("A page shows its key to everyone: use the publishable key (pk_...), never a secret one.");
    this.#url = url.replace(/\/+$/, "");
    this.#key = key;
    this.#deadline = options.deadline ?? 20_000;
    this.#timeout = options.timeout ?? 8_000;
    this.#fetch = options.fetch ?? ((input, init) => fetch(input, init));
  }

  /** Starts a challenge: sends a code to a number, in any common notation. */
  send(to: string, fields: SendFields = {}, options?: CallOptions): Promise<Challenge> {
    return this.#call("POST", "/otp/send", { ...fields, to }, options);
  }

  /** Lists the channels that a number would get, before anything is sent. */
  options(to: string, fields: OptionsFields = {}, options?: CallOptions): Promise<Options> {
    return this.#call("POST", "/otp/options", { ...fields, to }, options);
  }

  /** Checks a code as the person typed it. The right one gives a token for your backend to redeem. */
  verify(id: string, code: string, fields: VerifyFields = {}, options?: CallOptions): Promise<Verified> {
    return this.#call("POST", "/otp/verify", { ...fields, challenge_id: id, code }, options);
  }

  /** Sends another code for the same challenge, by the next channel or the given one. */
  resend(id: string, fields: ResendFields = {}, options?: CallOptions): Promise<Challenge> {
    return this.#call("POST", `${path(id)}/resend`, fields, options);
  }

  /** Reads the state of a challenge. */
  status(id: string, options?: CallOptions): Promise<Challenge> {
    return this.#call("GET", path(id), undefined, options);
  }

  /** Makes the codes of a challenge invalid. */
  cancel(id: string, options?: CallOptions): Promise<Challenge> {
    return this.#call("DELETE", path(id), undefined, options);
  }

  /** Spends a token once and returns its claims; for servers, with a secret key. One of a review number needs `acceptReview`. */
  redeem(token: string, expect?: Expect, options: RedeemOptions = {}): Promise<Claims> {
    const body: Schemas["Redeem"] = { token };
    if (expect) body.expect = expect;
    if (options.acceptReview) body.accept_review = true;
    return this.#call("POST", "/otp/token/redeem", body, options);
  }

  async #call<T>(method: string, target: string, body?: object, options: CallOptions = {}): Promise<T> {
    const headers: Record<string, string> = { Authorization: `Bearer ${this.#key}` };
    if (body) {
      headers["Content-Type"] = "application/json";
      headers["Idempotency-Key"] = options.idempotencyKey ?? newKey();
    }
    const init: RequestInit = { method, headers, credentials: "omit", cache: "no-store" };
    if (body) init.body = JSON.stringify(body);
    const end = Date.now() + this.#deadline;
    for (let pause = FIRST_PAUSE; ; pause *= 2) {
      const answer = await this.#ask<T>(target, init, options.signal);
      if ("content" in answer) return answer.content;
      const { problem } = answer;
      const wait = problem.retry_after ? problem.retry_after * 1000 : pause;
      const passing = problem.code === "no_answer" || problem.status === UNAVAILABLE;
      if (!passing || Date.now() + wait > end) throw new OtpError(problem);
      await sleep(wait, options.signal);
    }
  }

  async #ask<T>(target: string, init: RequestInit, signal?: AbortSignal): Promise<{ content: T } | { problem: Problem }> {
    signal?.throwIfAborted();
    const limit = new AbortController();
    const abort = () => limit.abort();
    const timer = setTimeout(abort, this.#timeout);
    signal?.addEventListener("abort", abort);
    try {
      const answer = await this.#fetch(this.#url + target, { ...init, signal: limit.signal });
      const content = await answer.json();
      if (answer.ok) return { content };
      // A proxy's own page, or its JSON, is no answer of the service.
      return { problem: typeof content?.code === "string" ? content : noAnswer(answer.status) };
    } catch {
      signal?.throwIfAborted();
      if (!limit.signal.aborted) void this.#explain();
      return { problem: noAnswer(0) };
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
    }
  }

  /** Tells the developer of a page what no browser says: the service is there, but may not know the page's origin. */
  async #explain(): Promise<void> {
    const page = (globalThis as { location?: Location }).location?.origin;
    if (!page || this.#explained) return;
    this.#explained = true;
    const found = await this.#fetch(`${this.#url}/otp.mjs`, { method: "HEAD", credentials: "omit" }).catch(() => null);
    if (found?.ok) console.warn(`otp: ${this.#url} answers, but its answer to this page was lost. Is ${page} one of the app's origins?`);
  }
}

const path = (id: string) => `/otp/${encodeURIComponent(id)}`;

const noAnswer = (status: number): Problem => ({ code: "no_answer", detail: "No answer of the service came.", status });

function sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = () => {
      clearTimeout(timer);
      reject(signal!.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", end);
      resolve();
    }, milliseconds);
    signal?.addEventListener("abort", end, { once: true });
  });
}

// The two times that a person sees: until another code may be sent, and until the code ends. Knows a clock only.

import type { Challenge } from "./client.js";

const WARN_AT = 60;
/** Answers have whole seconds, so a smaller difference is rounding (milliseconds). */
const ROUNDING = 1500;

export class Countdown {
  #resendAt = 0;
  #expiresAt = 0;
  #warned = false;

  /** Takes over the times that the service gives. */
  follow(challenge: Challenge): void {
    this.#resendAt = end(challenge.resend_in, this.#resendAt);
    this.#expiresAt = end(challenge.expires_in, this.#expiresAt);
  }

  /** Waits for so many seconds before another code. */
  delayResend(seconds: number): void {
    this.#resendAt = performance.now() + 1000 * seconds;
  }

  get resendIn(): number {
    return left(this.#resendAt);
  }

  get expiresIn(): number {
    return left(this.#expiresAt);
  }

  /** Warns again, because the code is a new one. */
  renew(): void {
    this.#warned = false;
  }

  /** Whether the person is to be warned now: true once. */
  warns(): boolean {
    if (this.#warned || this.expiresIn > WARN_AT) return false;
    this.#warned = true;
    return true;
  }
}

function left(time: number): number {
  return Math.max(0, Math.ceil((time - performance.now()) / 1000));
}

function end(seconds: number, before: number): number {
  const time = performance.now() + seconds * 1000;
  return Math.abs(time - before) > ROUNDING ? time : before;
}

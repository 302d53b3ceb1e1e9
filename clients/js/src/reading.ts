// Reads the state of the running challenge: once at a time, so that an old answer never follows a newer one.

import type { Challenge, OtpClient } from "./client.js";
import { problemOf } from "./problems.js";

export class Reading {
  #running: AbortController | undefined;

  /** Gives the state, `gone` if the service knows the challenge no more, or nothing: the next reading may succeed. */
  async read(client: OtpClient, id: string): Promise<Challenge | "gone" | undefined> {
    if (this.#running) return undefined;
    const { signal } = (this.#running = new AbortController());
    try {
      const challenge = await client.status(id, { signal });
      return signal.aborted ? undefined : challenge;
    } catch (error) {
      return !signal.aborted && problemOf(error).code === "challenge_not_found" ? "gone" : undefined;
    } finally {
      if (!signal.aborted) this.#running = undefined;
    }
  }

  /** Drops what is being read: an act changes it. */
  stop(): void {
    this.#running?.abort();
    this.#running = undefined;
  }
}

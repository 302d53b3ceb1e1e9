// The form's calls: one at a time, each with the same key until its outcome is known, and with a solved check if the
// service asks for one. Knows neither what is asked for nor what an answer means.

import { newKey } from "./client.js";
import { problemOf, OtpError, type HumanCheckRequired, type Problem } from "./problems.js";
import { isOpen } from "./refusal.js";

const MOST_CHECKS = 3;

/** What a solved human check adds to a request. */
export interface Proof {
  human_proof?: string;
}

export interface Call<T> {
  /** Names what is done: a call of the same name is not made twice, and repeats the key of one that was lost. */
  what: string;
  ask(key: string, proof: Proof): Promise<T>;
  answered(answer: T): void;
  refused(problem: Problem): void;
}

/** What the calls need of the form around them. */
export interface Around {
  /** Where the person is. If it has changed, a call that had to wait is no more wanted, and a refusal no more told. */
  place(): unknown;
  busy(busy: boolean): void;
  solve(problem: HumanCheckRequired): Promise<string | undefined>;
}

export class Calls {
  readonly #wanted = new Set<string>();
  #done: Promise<void> | undefined;
  #open: { what: string; key: string; again(): void } | undefined;

  constructor(private readonly around: Around) {}

  get running(): boolean {
    return this.#done !== undefined;
  }

  /** Makes the call once more whose outcome is unknown; false if there is none. */
  repeat(): boolean {
    this.#open?.again();
    return this.#open !== undefined;
  }

  /** Makes a call when the one before it has ended, and tells its outcome. */
  async make<T>(call: Call<T>): Promise<void> {
    const { what } = call;
    if (this.#wanted.has(what)) return; // pressed twice
    this.#wanted.add(what);
    const place = this.around.place();
    while (this.#done) await this.#done;
    try {
      if (this.around.place() === place) await (this.#done = this.#make(call, place));
    } finally {
      this.#wanted.delete(what);
    }
  }

  async #make<T>(call: Call<T>, place: unknown): Promise<void> {
    this.around.busy(true);
    const outcome = await this.#outcome(call).finally(() => {
      this.around.busy(false);
      this.#done = undefined;
    });
    // Told before the next call begins, which looks whether it is still wanted.
    if ("answer" in outcome) call.answered(outcome.answer);
    else if (this.around.place() === place) call.refused(outcome.problem);
  }

  async #outcome<T>(call: Call<T>): Promise<{ answer: T } | { problem: Problem }> {
    const { what, ask } = call;
    if (this.#open?.what !== what) this.#open = { what, key: newKey(), again: () => void this.make(call) };
    const { key } = this.#open;
    try {
      const answer = await this.#checked((proof) => ask(key, proof));
      this.#open = undefined;
      return { answer };
    } catch (error) {
      const problem = problemOf(error);
      if (!isOpen(problem)) this.#open = undefined;
      return { problem };
    }
  }

  async #checked<T>(ask: (proof: Proof) => Promise<T>): Promise<T> {
    let proof: Proof = {};
    for (let left = MOST_CHECKS; ; left -= 1) {
      try {
        return await ask(proof);
      } catch (error) {
        const problem = problemOf(error);
        if (left === 0) throw error;
        if (problem.code === "human_check_required") proof = { human_proof: await this.#solve(problem) };
        else if (problem.code === "human_check_failed") proof = {};
        else throw error;
      }
    }
  }

  async #solve(problem: HumanCheckRequired): Promise<string> {
    const proof = await this.around.solve(problem);
    if (!proof) throw new OtpError({ ...problem, code: "human_check_failed" });
    return proof;
  }
}

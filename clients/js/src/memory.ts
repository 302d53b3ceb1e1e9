// What a reload needs: the id of the running challenge, in this tab only. Never a number, a code or a token.

export class Memory {
  /** `name` tells forms of one site apart. */
  constructor(private readonly name: string) {}

  get challenge(): string | null {
    try {
      return sessionStorage.getItem(this.name);
    } catch {
      return null; // storage is switched off
    }
  }

  set challenge(id: string | null) {
    try {
      if (id) sessionStorage.setItem(this.name, id);
      else sessionStorage.removeItem(this.name);
    } catch {
      // Without storage, a reload starts again.
    }
  }
}

// The field of the code: what is pasted, filled in or typed, and which codes are known to be wrong.

import { findCode } from "./codes.js";
import type { View } from "./view.js";

export class CodeEntry {
  /** How many digits the code has. */
  length = 0;
  readonly #wrong = new Set<string>();

  /** `whole` is called when a code came as a whole that is not known to be wrong. */
  constructor(
    private readonly view: View,
    private readonly whole: () => void,
  ) {}

  paste(event: ClipboardEvent): void {
    const found = findCode(event.clipboardData?.getData("text") ?? "", this.length);
    if (!("code" in found)) return; // as it is: the person sees what was pasted
    event.preventDefault();
    this.fill(found.code);
  }

  /** Puts a whole code into the field as one edit that the person can undo. */
  fill(code: string): void {
    const field = this.view.code;
    field.focus();
    field.select();
    // The one way that keeps the browser's undo; it is old, but every browser has it.
    if (!document.execCommand("insertText", false, code)) field.value = code;
    this.#complete();
  }

  typed(event: InputEvent): void {
    this.view.error("");
    if (event.target !== this.view.code || event.isComposing) return;
    // Typing adds one character at a time. What adds more is an autofill, a drop or a keyboard's suggestion.
    const typed = event.inputType?.startsWith("delete") || event.inputType?.startsWith("history") || event.data?.length === 1;
    if (!typed) this.#complete();
  }

  #complete(): void {
    const found = findCode(this.view.code.value, this.length);
    if ("code" in found && !this.#wrong.has(found.code)) this.whole();
  }

  /** Gives the code that is worth a guess; otherwise says at the field what is wrong with it. */
  read(): string | undefined {
    const { language } = this.view;
    const found = findCode(this.view.code.value, this.length);
    if (!("code" in found)) {
      const name = ({ empty: "noCode", form: "badCode", several: "several" } as const)[found.none];
      this.view.focusError(language.say(name, { n: this.length }));
      return undefined;
    }
    if (!this.#wrong.has(found.code)) return found.code;
    this.view.focusError(language.words.wrong); // a guess is not spent twice on it
    return undefined;
  }

  /** Says that a code is wrong, and how many tries are left. */
  refuse(code: string, left: number): void {
    const { language } = this.view;
    this.#wrong.add(code);
    this.view.focusError(`${language.words.wrong} ${language.count("tries", left)}`);
  }

  /** Knows no wrong codes any more: a new message has another code. */
  renew(): void {
    this.#wrong.clear();
  }
}

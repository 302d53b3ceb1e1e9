// Codes that the browser reads from an SMS itself (WebOTP). Knows the browser's call; asks once for each challenge.

interface OtpCredential {
  code: string;
}

export class WebOtp {
  readonly #asked = new Set<string>();
  #running: AbortController | undefined;

  /** Asks once for the code of a challenge; nothing happens where browsers cannot do it. */
  async ask(challenge: string, found: (code: string) => void): Promise<void> {
    if (!("OTPCredential" in globalThis) || this.#asked.has(challenge)) return;
    this.stop();
    this.#asked.add(challenge);
    const running = (this.#running = new AbortController());
    const wanted = { otp: { transport: ["sms"] }, signal: running.signal } as CredentialRequestOptions;
    try {
      const credential = (await navigator.credentials.get(wanted)) as unknown as OtpCredential | null;
      if (credential && !running.signal.aborted) found(credential.code);
    } catch {
      // The person declined, it was aborted, or the page may not ask: typing works as before.
    }
  }

  stop(): void {
    this.#running?.abort();
    this.#running = undefined;
  }
}

// Where the service is, if the page does not say it: where this script came from.

declare const VERSION: string;
/** The version of this script. */
export const version = VERSION;
let origin = "";

export function setService(script: string | undefined): void {
  origin = script ? new URL(script).origin : "";
}

export function service(): string {
  return origin;
}

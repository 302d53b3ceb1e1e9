// The form's style, as a sheet that a strict Content-Security-Policy allows: no <style>, no style attribute.

import css from "./form.css";

const DARK =
  "--_panel:var(--otp-panel,#151d1a);--_line:var(--otp-line,#2e3b36);--_edge:var(--otp-edge,#7d8f88);" +
  "--_text:var(--otp-text,#e8f0ed);--_soft:var(--otp-soft,#a3b3ad);--_accent:var(--otp-accent,#5fd6b0);" +
  "--_hover:var(--otp-accent-hover,#86e4c6);--_on:var(--otp-on-accent,#06261c);--_bad:var(--otp-bad,#ffb1a6)";

let sheet: CSSStyleSheet | undefined;

/** Adopts the sheet once for the document or shadow root that holds the form. */
export function adoptStyle(root: Document | ShadowRoot): void {
  if (!sheet) {
    sheet = new CSSStyleSheet();
    sheet.replaceSync(css.replace(/--dark: ?1/g, DARK));
  }
  if (!root.adoptedStyleSheets.includes(sheet)) root.adoptedStyleSheets = [...root.adoptedStyleSheets, sheet];
}

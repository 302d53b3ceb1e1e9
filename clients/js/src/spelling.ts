// The many ways to write the same digits. Pure: knows characters only.

/** Folds digits of any script to ASCII, every space and dash to a plain one, and drops what cannot be seen. */
export function plain(text: string): string {
  return text
    .normalize("NFKC")
    .replace(/(?!\s)[\p{Cf}\p{Cc}\ufe0f\u20e3]/gu, "")
    .replace(/[\s\u2800]+/g, " ")
    .replace(/[\p{Pd}\u2212\u30fc]/gu, "-")
    .replace(/\p{Nd}/gu, digit)
    .trim();
}

/** Whether two spellings are one number, as far as a page can tell. */
export function sameNumber(one: string, other: string): boolean {
  const bare = (text: string) => plain(text).replace(/[^\d+]/g, "");
  return bare(one) === bare(other);
}

/** A script's ten digits stand together, 0 first: count how many digits stand before this one. */
function digit(char: string): string {
  const point = char.codePointAt(0)!;
  let before = 0;
  while (/\p{Nd}/u.test(String.fromCodePoint(point - before - 1))) before += 1;
  return String(before % 10);
}

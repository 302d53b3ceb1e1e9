// What a page that is written in TypeScript does with the package, under `tsc --strict`: types only, it is not run.
import { OtpError, addLanguage, findCode, type Words } from "otp-service-client";

addLanguage("pl", { title: "Potwierdź swój numer" });
// @ts-expect-error A misspelt word is found.
const misspelt: Partial<Words> = { titel: "Potwierdź swój numer" };

const form = document.querySelector("otp-form")!;
form.addEventListener("otp-verified", (event) => {
  const { token, challenge_id: id }: { token: string; challenge_id: string } = event.detail;
  console.log(token.length, id);
  form.reset();
});
document.addEventListener("otp-ended", (event) => {
  // @ts-expect-error A misspelt reason is found.
  console.log(event.detail.why === "expird");
});
document.addEventListener("otp-human-check", (event) => event.detail.respond(undefined));
console.log(misspelt, findCode("1", 1), OtpError);

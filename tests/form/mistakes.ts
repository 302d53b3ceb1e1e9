// What must not compile: each line below is an error, or TypeScript says that the expectation is unused.
import { OtpClient, type Problem } from "otp-service-client/client";

const client = new OtpClient("", "");
declare const problem: Problem;

// @ts-expect-error - there is no such channel
void client.resend("id", { channel: "pigeon" });
// @ts-expect-error - a number is needed
void client.send();
// @ts-expect-error - the field has another name
void client.send("+1", { porpoise: "login" });
// @ts-expect-error - only a wrong code has it
void problem.checks_left;
// @ts-expect-error - there is no such code
if (problem.code === "code_wrong") void 0;

// What an app's server does with OtpClient in Node, under `tsc --strict`: it runs against the real service.
import { OtpClient, OtpError, type Problem } from "otp-service-client/client";

const { API, SANDBOX, PUBLISHABLE_KEY, SECRET_KEY, NUMBER } = process.env as Record<string, string>;
const keys: string[] = [];
let lose = 0;

// Lets the service answer, and loses every other answer of a POST.
const lossy: typeof fetch = async (input, init) => {
  const answer = await fetch(input, init);
  const key = new Headers(init?.headers).get("Idempotency-Key");
  if (key) {
    keys.push(key);
    lose += 1;
    if (lose % 2) throw new TypeError("the connection was lost");
  }
  return answer;
};

const page = new OtpClient(API!, PUBLISHABLE_KEY!, { fetch: lossy });
const server = new OtpClient(`${API}/`, SECRET_KEY!, { fetch: lossy });

// The union is narrowed by `code`: each case has the fields of its own.
function told(problem: Problem): string {
  switch (problem.code) {
    case "wrong_code":
      return `${problem.checks_left} left`;
    case "too_many_requests":
    case "resend_too_early":
      return `wait ${problem.retry_after > 0}`;
    case "human_check_required":
      return problem.human_check.kind;
    case "invalid_number":
      return problem.errors.map((error) => error.field).join();
    case "no_answer":
      return `none ${problem.status}`;
    default:
      return problem.code;
  }
}

async function failing(act: Promise<unknown>): Promise<string> {
  try {
    await act;
  } catch (error) {
    if (error instanceof OtpError) return told(error.problem);
    throw error;
  }
  return "nothing failed";
}

async function code(count: number): Promise<string> {
  for (;;) {
    const rows = (await (await fetch(`${SANDBOX}/inbox?to=${encodeURIComponent(NUMBER!)}`)).json()) as { code: string }[];
    if (rows.length >= count) return rows[0]!.code;
    await new Promise((resume) => setTimeout(resume, 50));
  }
}

const before = ((await (await fetch(`${SANDBOX}/inbox?to=${encodeURIComponent(NUMBER!)}`)).json()) as unknown[]).length;
const sent = await page.send(NUMBER!, { purpose: "login" });
const right = await code(before + 1);
const wrong = String((Number(right) + 1) % 1_000_000).padStart(6, "0");
const wrongly = await failing(page.verify(sent.challenge_id, wrong));
const early = await failing(page.resend(sent.challenge_id));
const verified = await page.verify(sent.challenge_id, right);
const claims = await server.redeem(verified.token, { purpose: "login" });
const other = await page.send("+12025550102");
const aborted = new AbortController();
aborted.abort(new Error("the person left"));

console.log(
  JSON.stringify({
    wrongly,
    early,
    status: (await page.status(sent.challenge_id)).status,
    number: claims.phone_number,
    messages: ((await (await fetch(`${SANDBOX}/inbox?to=${encodeURIComponent(NUMBER!)}`)).json()) as unknown[]).length - before,
    twice: await failing(server.redeem(verified.token)),
    cancelled: (await page.cancel(other.challenge_id)).status,
    invalid: await failing(page.send("+1 202 5")),
    unknown: await failing(new OtpClient(API!, "pk_unknown").status(sent.challenge_id)),
    away: await failing(new OtpClient("http://127.0.0.1:9", PUBLISHABLE_KEY!, { deadline: 500 }).send(NUMBER!)),
    left: await page.status(sent.challenge_id, { signal: aborted.signal }).catch((error: Error) => error.message),
    keys: keys.length,
    distinct: new Set(keys).size,
  }),
);

// Stands in for the upstream: accepts every message and hands its code to whoever waits for the number.
import http from 'node:http';

const REPORT_AFTER = 50; // milliseconds
const REPORTERS = new http.Agent({ keepAlive: true, maxSockets: 8 });

export class Upstream {
  #waiting = new Map(); #reported = new Map(); #count = 0; #options;
  // Milliseconds from a report that a message failed to the next message for its number.
  fellBack = [];

  // `to` and `code` are patterns that find the number and the code in a message, `answer` is the body of the answer
  // (`{id}` is a new id), `delay` milliseconds that it takes. With `failing` ({every, port, path, report, headers}) the
  // first message of every so many numbers fails: it is reported after it was accepted (`{id}` in `report` is its id).
  constructor(options) {
    this.#options = { ...options, to: new RegExp(options.to), code: new RegExp(options.code) };
  }

  listen(port) {
    const server = http.createServer((request, response) => {
      let body = '';
      request.on('data', (data) => { body += data; });
      request.on('end', () => this.#take(decodeURIComponent(body.replaceAll('+', ' ')), response));
    });
    server.keepAliveTimeout = 60_000;
    return new Promise((resolve) => { server.listen(port, '127.0.0.1', resolve); });
  }

  // Resolves to {code, at} when the message for this number comes.
  expect(digits) { return new Promise((resolve) => { this.#waiting.set(digits, resolve); }); }

  forget(digits) { this.#waiting.delete(digits); }

  // A request may have several messages, each a node: the answer has a row for each, in their order.
  #take(text, response) {
    const at = performance.now();
    const messages = nodes(text).map((message) => ({ message, id: `bench-${++this.#count}:1` }));
    for (const { message, id } of messages) this.#hand(message, id, at);
    const answer = () => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(this.#answer(messages.map(({ id }) => id)));
    };
    if (this.#options.delay) setTimeout(answer, this.#options.delay); else answer();
  }

  #hand(message, id, at) {
    const [to, code] = [this.#options.to, this.#options.code].map((pattern) => pattern.exec(message)?.[1]);
    const digits = to?.replace(/\D/g, '');
    if (this.#fails(digits)) {
      setTimeout(() => this.#report(digits, id), REPORT_AFTER);
      return;
    }
    if (this.#reported.has(digits)) this.fellBack.push(at - this.#reported.get(digits));
    this.#waiting.get(digits)?.({ code, at });
    this.#waiting.delete(digits);
  }

  #fails(digits) {
    const { failing } = this.#options;
    if (!failing || !digits || this.#reported.has(digits) || Number(digits.slice(-6)) % failing.every) return false;
    this.#reported.set(digits, Infinity);
    return true;
  }

  #report(digits, id) {
    const { port, path, report, headers } = this.#options.failing;
    this.#reported.set(digits, performance.now());
    const sent = http.request({ host: '127.0.0.1', port, path, method: 'POST', headers, agent: REPORTERS });
    sent.on('response', (response) => response.resume());
    sent.end(report.replace('{id}', id));
  }

  #answer(ids) {
    const rows = (row) => ids.map((id) => row.replace('{id}', id)).join();
    return this.#options.answer.replace(/(?<=\[).*(?=\])/, rows);
  }
}

function nodes(text) {
  if (!text.startsWith('{')) return [text];
  return JSON.parse(text).nodes?.map((node) => JSON.stringify(node)) ?? [text];
}

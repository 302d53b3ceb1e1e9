// Stands in for the upstream: accepts every message and hands its code to whoever waits for the number.
import http from 'node:http';

export class Upstream {
  #waiting = new Map(); #count = 0; #options;

  // `to` and `code` are patterns that find the number and the code in a message, `answer` is the body of the answer
  // (`{id}` is a new id), `delay` milliseconds that it takes.
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
    const messages = nodes(text);
    for (const message of messages) this.#hand(message, at);
    const answer = () => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(this.#answer(messages.length));
    };
    if (this.#options.delay) setTimeout(answer, this.#options.delay); else answer();
  }

  #hand(message, at) {
    const [to, code] = [this.#options.to, this.#options.code].map((pattern) => pattern.exec(message)?.[1]);
    const digits = to?.replace(/\D/g, '');
    this.#waiting.get(digits)?.({ code, at });
    this.#waiting.delete(digits);
  }

  #answer(count) {
    const rows = (row) => Array.from({ length: count }, () => row.replace('{id}', `bench-${++this.#count}:1`)).join();
    return this.#options.answer.replace(/(?<=\[).*(?=\])/, rows);
  }
}

function nodes(text) {
  if (!text.startsWith('{')) return [text];
  return JSON.parse(text).nodes?.map((node) => JSON.stringify(node)) ?? [text];
}

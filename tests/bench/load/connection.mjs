// One keep-alive HTTP/1.1 connection on a raw socket, far cheaper than node:http, whose time would be the server's
// loss. Knows requests as bytes and answers as status and body. Must not know what they say.
import net from 'node:net';

export function encode({ method, path, headers = {}, body = '' }) {
  const fields = { Host: 'bench.localhost', ...headers, 'Content-Length': Buffer.byteLength(body) };
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n${body}`;
}

export class Connection {
  #port; #socket; #waiting; #received = Buffer.alloc(0);

  constructor(port) { this.#port = port; }

  // Sends one request; resolves to {status, body}, rejects if the connection breaks. One request at a time.
  async request(bytes) {
    if (!this.#socket) await this.#connect();
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      this.#socket.write(bytes);
    });
  }

  close() { this.#socket?.destroy(); }

  #connect() {
    return new Promise((resolve, reject) => {
      const socket = net.connect(this.#port, '127.0.0.1', resolve).setNoDelay(true);
      socket.on('error', (error) => { reject(error); this.#fail(error); });
      socket.on('close', () => { this.#socket = undefined; this.#fail(new Error('the server closed the connection')); });
      socket.on('data', (data) => { this.#received = Buffer.concat([this.#received, data]); this.#read(); });
      this.#received = Buffer.alloc(0);
      this.#socket = socket;
    });
  }

  #fail(error) {
    this.#waiting?.reject(error);
    this.#waiting = undefined;
  }

  #read() {
    const end = this.#received.indexOf('\r\n\r\n');
    if (!this.#waiting || end < 0) return;
    const head = this.#received.subarray(0, end).toString('latin1');
    const found = /\r\ntransfer-encoding: *chunked/i.test(head)
      ? this.#chunks(end + 4)
      : this.#counted(end + 4, Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? 0));
    if (!found) return;
    this.#received = this.#received.subarray(found.end);
    const { resolve } = this.#waiting;
    this.#waiting = undefined;
    if (/\r\nconnection: *close/i.test(head)) {
      const socket = this.#socket;
      this.#socket = undefined;
      socket.removeAllListeners('close');
      socket.destroy();
    }
    resolve({ status: Number(head.slice(9, 12)), body: found.body });
  }

  #counted(start, length) {
    const end = start + length;
    return this.#received.length < end ? undefined : { body: this.#received.subarray(start, end).toString(), end };
  }

  #chunks(start) {
    for (let at = start, body = ''; ;) {
      const line = this.#received.indexOf('\r\n', at);
      if (line < 0) return undefined;
      const length = parseInt(this.#received.subarray(at, line).toString('latin1'), 16);
      const next = line + 2 + length + 2;
      if (this.#received.length < next) return undefined;
      if (!length) return { body, end: next };
      body += this.#received.subarray(line + 2, next - 2).toString();
      at = next;
    }
  }
}

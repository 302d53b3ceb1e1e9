// better-auth's phone number plugin behind a plain Node server, for a comparison on the same machine: codes in clear
// text, no fallback, no limits. Its own routes are at /api/auth; /otp/send and /otp/verify are the bare calls.
import http from 'node:http';
import { betterAuth } from 'better-auth';
import { getMigrations } from 'better-auth/db/migration';
import { toNodeHandler } from 'better-auth/node';
import { phoneNumber } from 'better-auth/plugins';
import Database from 'better-sqlite3';
import { Redis } from 'ioredis';

const { PORT, REDIS_SOCKET, UPSTREAM_PORT } = process.env;
const agent = new http.Agent({ keepAlive: true, maxSockets: 128 });

function post(to, code) {
  return new Promise((resolve, reject) => {
    const body = JSON.stringify({ to, code });
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    http.request({ agent, host: '127.0.0.1', port: UPSTREAM_PORT, path: '/', method: 'POST', headers }, (answer) => {
      answer.resume().on('end', resolve);
    }).on('error', reject).end(body);
  });
}

const redis = new Redis(REDIS_SOCKET);
const options = {
  baseURL: `http://127.0.0.1:${PORT}`,
  secret: 'only-for-measuring-only-for-measuring',
  database: new Database(':memory:'),
  secondaryStorage: {
    get: (key) => redis.get(key),
    set: (key, value, ttl) => (ttl ? redis.setex(key, ttl, value) : redis.set(key, value)),
    delete: (key) => redis.del(key),
    getAndDelete: (key) => redis.call('GETDEL', key),
    increment: async (key, ttl) => (await redis.multi().incr(key).expire(key, ttl, 'NX').exec())[0][1],
  },
  rateLimit: { enabled: false },
  telemetry: { enabled: false },
  logger: { level: 'error' },
  plugins: [phoneNumber({
    sendOTP: ({ phoneNumber: to, code }) => post(to, code),
    signUpOnVerification: { getTempEmail: (number) => `${number.replace(/\D/g, '')}@bench.invalid` },
  })],
};
await (await getMigrations(options)).runMigrations();
const auth = betterAuth(options);
const routes = toNodeHandler(auth);
const calls = { '/otp/send': auth.api.sendPhoneNumberOTP, '/otp/verify': auth.api.consumePhoneNumberOTP };

async function read(request) {
  let text = '';
  for await (const part of request) text += part;
  return JSON.parse(text);
}

http.createServer(async (request, response) => {
  if (request.url.startsWith('/api/auth')) { routes(request, response); return; }
  const answer = (status, value) => {
    const body = JSON.stringify(value);
    response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) });
    response.end(body);
  };
  try {
    answer(200, await calls[request.url]({ body: await read(request) }));
  } catch (error) {
    answer(error.statusCode ?? 500, { message: error.message });
  }
}).listen(PORT, '127.0.0.1', () => console.log('ready'));

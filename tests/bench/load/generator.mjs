// Puts load on one service of this machine and prints what it saw as one line of JSON. Reads its orders as JSON from
// standard input: see Load in tests/bench/load.py. Targets loopback only, for 60 s at most.
//
// Closed loop (`connections`): each connection does one journey after another. Open loop (`rate`): journeys begin at
// random times, `rate` a second on average, however long the others take, and are timed from when they were to begin,
// so that a stalled service cannot hide its delay.
//
// A closed loop counts what ended while it measured, whenever that began: what is under way at the start makes up for
// what is under way at the end. An open loop counts what was to begin while it measured, and waits for its end.
import { readFileSync } from 'node:fs';
import { Connection, encode } from './connection.mjs';
import { cpuSeconds, machineSeconds, residentMiB } from './processes.mjs';
import { Upstream } from './upstream.mjs';

const orders = JSON.parse(readFileSync(0, 'utf8'));
const MOST = 60; // seconds
if (orders.seconds > MOST) throw new Error(`a run takes ${MOST} s at most`);
const CODE_WITHIN = 20_000; // milliseconds
const upstream = orders.upstream && new Upstream(orders.upstream);
await upstream?.listen(orders.upstream.port);

const idle = [];
let next = orders.first;
let measuring = false;
let running = true;
const seen = { journeys: 0, errors: {}, ms: { send: [], handed: [], verify: [], journey: [] } };

function fill(request, values) {
  const put = (text) => text.replace(/\{(\w+)\}/g, (all, name) => values[name] ?? all);
  return encode({ ...request, body: put(request.body ?? '') });
}

async function call(request, values, connection) {
  const answer = await connection.request(fill(request, values));
  if (answer.status !== request.ok || !answer.body.includes(request.says ?? '')) throw new Error(`${request.path} ${answer.status}`);
  return answer.body;
}

function within(promise, milliseconds) {
  return Promise.race([
    promise,
    new Promise((_, reject) => { setTimeout(reject, milliseconds, new Error('no code from upstream')).unref(); }),
  ]);
}

async function journey(connection, began) {
  const digits = `${orders.prefix}${String(next++).padStart(7, '0')}`;
  const values = { to: `+${digits}` };
  const message = upstream?.expect(digits);
  const times = {};
  const inTime = measuring;
  try {
    const body = await call(orders.send, values, connection);
    const sent = performance.now();
    times.send = sent - began;
    if (orders.verify) {
      values.challenge_id = /"challenge_id": *"([^"]+)"/.exec(body)?.[1];
      const { code, at } = await within(message, CODE_WITHIN);
      times.handed = Math.max(0, at - sent);
      const asked = performance.now();
      await call(orders.verify, { ...values, code }, connection);
      times.verify = performance.now() - asked;
    }
    times.journey = performance.now() - began;
    if (!(orders.rate ? inTime : measuring)) return;
    seen.journeys += 1;
    for (const [name, value] of Object.entries(times)) seen.ms[name].push(value);
  } catch (error) {
    upstream?.forget(digits);
    if (orders.rate ? inTime : measuring) seen.errors[error.message] = (seen.errors[error.message] ?? 0) + 1;
  }
}

async function closed() {
  const connection = new Connection(orders.port);
  while (running) await journey(connection, performance.now());
  connection.close();
}

async function open() {
  const all = new Set();
  for (let due = performance.now(); running;) {
    due += -Math.log(1 - Math.random()) * 1000 / orders.rate;
    const early = due - performance.now();
    if (early > 0) await new Promise((resolve) => { setTimeout(resolve, early); });
    if (!running || all.size > 2000) continue; // beyond that the figures say enough
    const connection = idle.pop() ?? new Connection(orders.port);
    const one = journey(connection, due).finally(() => { all.delete(one); idle.push(connection); });
    all.add(one);
  }
  await Promise.all(all);
}

const quantiles = (values) => {
  const sorted = Float64Array.from(values).sort();
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
  return sorted.length ? { p50: at(0.5), p95: at(0.95), p99: at(0.99), most: at(1) } : undefined;
};
const pause = (seconds) => new Promise((resolve) => { setTimeout(resolve, seconds * 1000); });
const used = () => Object.entries(orders.pids).map(([name, pid]) => [name, cpuSeconds(pid)]);

const work = orders.rate ? [open()] : Array.from({ length: orders.connections }, closed);
await pause(orders.warmup);
const before = { used: used(), machine: machineSeconds(), own: process.cpuUsage(), at: performance.now() };
measuring = true;
await pause(orders.seconds);
// A machine that is busy with something else may need longer for the first journey, or the first one that falls back.
const lacking = () => !seen.journeys || (orders.upstream?.failing && !upstream.fellBack.length);
for (let more = 0; lacking() && more < MOST; more += 1) await pause(1);
measuring = false;
const seconds = (performance.now() - before.at) / 1000;
const own = process.cpuUsage(before.own);
const cpu = Object.fromEntries(used().map(([name, value], place) => [name, value - before.used[place][1]]));
const all = machineSeconds() - before.machine;
const resident = Object.fromEntries(Object.entries(orders.pids).map(([name, pid]) => [name, residentMiB(pid)]));
running = false;
await Promise.race([Promise.all(work), pause(orders.rate ? CODE_WITHIN / 1000 : 5)]);
const mine = (own.user + own.system) / 1e6;
console.log(JSON.stringify({
  journeys: seen.journeys,
  per_second: seen.journeys / seconds,
  ms: Object.fromEntries(Object.entries({ ...seen.ms, fell_back: upstream?.fellBack ?? [] }).map(([name, values]) => [name, quantiles(values)])),
  errors: seen.errors,
  cpu_ms: Object.fromEntries(Object.entries(cpu).map(([name, value]) => [name, value * 1000 / seen.journeys])),
  resident_mib: resident,
  others_cores: (all - mine - Object.values(cpu).reduce((total, value) => total + value, 0)) / seconds,
}));
process.exit(0);

// What the processes that take part use, each with its descendants, read from /proc.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

const TICKS = Number(execFileSync('getconf', ['CLK_TCK']));

function family(pid) {
  const found = [];
  for (const todo = [String(pid)]; todo.length;) {
    const next = todo.pop();
    try {
      todo.push(...readFileSync(`/proc/${next}/task/${next}/children`, 'utf8').split(' ').filter(Boolean));
      found.push(next);
    } catch { /* it has ended */ }
  }
  return found;
}

function sum(pid, read) {
  return family(pid).reduce((total, member) => {
    try { return total + read(member); } catch { return total; }
  }, 0);
}

export const cpuSeconds = (pid) => sum(pid, (member) => {
  const fields = readFileSync(`/proc/${member}/stat`, 'utf8').split(') ').pop().split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS;
});

export const residentMiB = (pid) => sum(pid, (member) => (
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${member}/status`, 'utf8'))?.[1] ?? 0) / 1024
));

// Seconds of all cores that the whole machine has worked.
export function machineSeconds() {
  const fields = readFileSync('/proc/stat', 'utf8').split('\n')[0].trim().split(/\s+/).slice(1).map(Number);
  return (fields.reduce((total, value) => total + value, 0) - fields[3] - fields[4]) / TICKS;
}

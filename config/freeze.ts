// When nothing may go forward, as a Migration writes it: `{from: 2026-12-20T00:00:00Z, to: 2027-01-04T00:00:00Z}`, or
// `{days: [fri, sat], from: "18:00", to: "08:00", zone: Europe/Berlin}`.
import { z } from 'zod';
import type { FreezeWindow } from '../model/migration.ts';

const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];
const DAY_MINUTES = 24 * 60;
const FORMS =
  '{from: TIME, to: TIME} with two times such as 2026-12-20T00:00:00Z, or {days: [fri, sat], from: "18:00", to: "08:00", zone: Europe/Berlin}';

export const freezeWindow = z.unknown().transform((value, context): FreezeWindow => {
  const read = windowOf(value);
  if (typeof read !== 'string') return read;
  context.addIssue({ code: 'custom', message: read });
  return z.NEVER;
});

/** The window, or what was expected instead. */
function windowOf(value: unknown): FreezeWindow | string {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return FORMS;
  const { from, to, days, zone = 'UTC', ...more } = value as Readonly<Record<string, unknown>>;
  if (Object.keys(more).length > 0 || typeof from !== 'string' || typeof to !== 'string') return FORMS;
  if (days === undefined && !/^\d\d?:\d\d$/.test(from)) return onceOf(from, to);
  return weeklyOf(days ?? DAYS, from, to, zone);
}

function onceOf(from: string, to: string): FreezeWindow | string {
  const [begins, ends] = [timeOf(from), timeOf(to)];
  if (Number.isNaN(begins) || Number.isNaN(ends)) return FORMS;
  return ends > begins ? { kind: 'once', from: begins, to: ends } : 'a `to` that is later than `from`';
}

/** With a zone of its own; what hangs on this machine's zone is no time. */
const timeOf = (text: string): number =>
  /^\d{4}-\d\d-\d\dT.*(Z|[+-]\d\d:?\d\d)$/.test(text) ? Date.parse(text) : Number.NaN;

function weeklyOf(days: unknown, from: string, to: string, zone: unknown): FreezeWindow | string {
  const [begins, ends] = [minutesOf(from), minutesOf(to)];
  if (begins === undefined || ends === undefined || !Array.isArray(days) || days.length === 0) return FORMS;
  const numbers = days.map((day) =>
    typeof day === 'string' ? DAYS.indexOf(day.toLowerCase().slice(0, 3)) : -1,
  );
  if (numbers.includes(-1)) return `days such as ${DAYS.join(', ')}`;
  if (typeof zone !== 'string' || !isZone(zone)) return 'a time zone such as Europe/Berlin';
  return { kind: 'weekly', days: [...new Set(numbers)].sort((a, b) => a - b), from: begins, to: ends, zone };
}

function minutesOf(text: string): number | undefined {
  const [, hours, minutes] = /^(\d\d?):(\d\d)$/.exec(text) ?? [];
  const sum = Number(hours) * 60 + Number(minutes);
  return Number(minutes) < 60 && sum <= DAY_MINUTES ? sum : undefined;
}

function isZone(zone: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: zone }) instanceof Intl.DateTimeFormat;
  } catch {
    return false;
  }
}

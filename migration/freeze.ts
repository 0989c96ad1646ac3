// Whether a moment lies in a freeze window. Pure; zones are the runtime's.
import type { FreezeWindow } from '../model/migration.ts';

const DAY_MINUTES = 24 * 60;
const DAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];

/** The first window that `now` lies in, in words; '' when in none. */
export function frozenBy(windows: readonly FreezeWindow[], now: number): string {
  const found = windows.find((window) => isIn(window, now));
  if (!found) return '';
  if (found.kind === 'once') return `a freeze until ${new Date(found.to).toISOString()}`;
  return `a freeze until ${clock(found.to)} ${found.zone}`;
}

function isIn(window: FreezeWindow, now: number): boolean {
  if (window.kind === 'once') return window.from <= now && now < window.to;
  const { day, minute } = localTime(now, window.zone);
  const { from, to, days } = window;
  if (to > from) return days.includes(day) && from <= minute && minute < to;
  // Over midnight: what began today, or yesterday and goes on.
  return (days.includes(day) && minute >= from) || (days.includes((day + 6) % 7) && minute < to);
}

function localTime(now: number, zone: string): { readonly day: number; readonly minute: number } {
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone: zone,
    weekday: 'short',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  });
  const parts = new Map(format.formatToParts(now).map(({ type, value }) => [type, value]));
  return {
    day: DAYS.indexOf(parts.get('weekday') ?? ''),
    minute: Number(parts.get('hour')) * 60 + Number(parts.get('minute')),
  };
}

const clock = (minutes: number): string => {
  const within = minutes % DAY_MINUTES;
  return `${String(Math.floor(within / 60)).padStart(2, '0')}:${String(within % 60).padStart(2, '0')}`;
};

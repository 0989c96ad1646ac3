// Finds timers, sockets and child processes that outlive what made them.
import { eventually } from './eventually.ts';

/** Kinds of active resources of this process with their number, e.g. `{ Timeout: 2, TCPSocketWrap: 1 }`. */
export function activeResources(): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const kind of process.getActiveResourcesInfo()) counts[kind] = (counts[kind] ?? 0) + 1;
  return counts;
}

// vitest's own channel and timers come and go beside ours; these kinds are what our code could leave.
const WATCHED = [
  'Timeout',
  'Immediate',
  'TCPSocketWrap',
  'TCPServerWrap',
  'TLSWrap',
  'ProcessWrap',
  'FSEvent',
];

/**
 * Call before the work; the returned function waits until no more timers, sockets, servers or children are
 * left than then, and rejects naming the surplus. One timer more is let pass: the test runner's own.
 */
export function watchLeaks(): () => Promise<void> {
  const before = activeResources();
  return async () => {
    await eventually(
      () => {
        const now = activeResources();
        const surplus = WATCHED.flatMap((kind) => {
          const more = (now[kind] ?? 0) - (before[kind] ?? 0) - (kind === 'Timeout' ? OWN_TIMERS : 0);
          return more > 0 ? [`${more} × ${kind}`] : [];
        });
        if (surplus.length > 0) throw new Error(`left behind: ${surplus.join(', ')}`);
        return true;
      },
      { withinMs: 10_000, what: 'no leaks' },
    );
  };
}

/** The deadline timer of eventually() itself, and the test runner's timeout. */
const OWN_TIMERS = 2;

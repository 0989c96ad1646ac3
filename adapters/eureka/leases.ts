// Instances that Eureka lists although their lease has run out: that is what it does in self-preservation,
// and it does not say so. Only a full list tells when a lease was renewed last. Pure.
import { z } from 'zod';
import type { EurekaAnswer } from './answers.ts';
import { instanceId } from './map.ts';

const lease = z.object({
  /** Seconds. */
  durationInSecs: z.coerce.number().min(0),
  /** Milliseconds since the epoch, by the clock of the server; 0: not said. */
  lastRenewalTimestamp: z.coerce.number().min(1),
});

/**
 * Eureka ends a lease at twice its duration (a slip that it kept for its users' sake), looks once a minute,
 * and answers from a cache; clocks differ.
 */
const GRACE_MS = 150_000;

/** One sentence, or '' when all leases are good. @param now milliseconds since the epoch */
export function overdueLeases({ apps }: EurekaAnswer, now: number): string {
  let total = 0;
  const overdue: string[] = [];
  for (const { name, instance } of apps) {
    for (const said of instance) {
      total += 1;
      const { data } = lease.safeParse(said.leaseInfo);
      if (!data) continue;
      const endsAt = data.lastRenewalTimestamp + 2_000 * data.durationInSecs + GRACE_MS;
      if (now > endsAt) overdue.push(`${name}/${instanceId(said)}`);
    }
  }
  const [first] = overdue;
  if (first === undefined) return '';
  return `${overdue.length} of ${total} instances are listed although their lease has run out, such as ${first}: Eureka preserves itself, do not trust it with who is alive`;
}

// Until when a keeper's decisions about one endpoint hold: the same arithmetic as in hold.ts, damping.ts and
// warm-up.ts, told instead of done. Pure.
import type { EndpointNotes } from '../../model/notes.ts';
import { isSuppressed, penaltyAt } from './damping.ts';
import type { Entry, Ledger } from './entry.ts';
import { confirmedAt, holdEndsAt } from './hold.ts';
import type { Facts } from './hold.ts';

/** @param key endpointKey() of an endpoint that the source lists or listed lately. */
export function notesOf(entry: Entry, key: string, facts: Facts): EndpointNotes {
  const kept = entry.kept?.get(key);
  const ledger = entry.ledger?.get(key);
  const { now, darkSince, settings } = facts;
  const left = ledger?.left === undefined ? {} : { leftAt: ledger.left };
  const gone = kept && kept.doubtedAt === undefined ? { goneAt: kept.goneAt } : {};
  return { ...holdNotes(), ...left, ...gone, ...pingNotes(), ...weightNotes(ledger, facts) };

  function pingNotes(): EndpointNotes {
    if (!ledger?.proof) return {};
    const { aliveAt, named, byProber, bySidecars } = ledger.proof;
    return { ping: { aliveAt, named, failed: byProber + bySidecars, fall: settings.fall } };
  }

  function holdNotes(): EndpointNotes {
    if (darkSince !== undefined) {
      const trustedUntil = holdEndsAt(entry, key, darkSince, settings);
      const leavesAt = trustedUntil + settings.guard.confirmAfterMs;
      return now < trustedUntil ? { trustedUntil } : { leavesAt };
    }
    return kept?.doubtedAt === undefined ? {} : { leavesAt: confirmedAt(kept.doubtedAt, facts) };
  }
}

function weightNotes(ledger: Ledger | undefined, { now, settings }: Facts): EndpointNotes {
  const { damping, warmUpMs } = settings;
  const { flaps, newSince } = ledger ?? {};
  const untilReuse = (from: NonNullable<typeof flaps>): number =>
    from.at + damping.halfLifeMs * Math.log2(from.penalty / damping.reuse);
  return {
    ...(flaps && {
      flaps: {
        penalty: penaltyAt(flaps, now, damping),
        suppress: damping.suppress,
        until: isSuppressed(flaps, now, damping) ? Math.ceil(untilReuse(flaps)) : undefined,
      },
    }),
    ...(newSince !== undefined && { warmUp: { since: newSince, until: newSince + warmUpMs } }),
  };
}

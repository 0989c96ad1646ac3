// What became of one type on one stream, for people and for the list of proxies.
import type { ProxyTypeStatus } from '../../model/proxies.ts';
import type { View } from '../view.ts';
import type { Subscription } from './subscription.ts';

export function typeStatus(sub: Subscription | undefined, view: View): ProxyTypeStatus {
  const version = sub?.ackedVersion ?? '';
  const last = sub?.inFlight?.version ?? sub?.refusal?.version ?? version;
  const sent = last === version ? {} : { sent: last };
  if (!sub?.everSent) return { state: 'NOT_SENT', version, error: '', resource: '' };
  const refusal = sub.refusalAgainst(view);
  if (refusal) {
    const { error, resource } = refusal;
    const refused = [...sub.parked].map(([name, parked]) => ({ resource: name, error: parked.error }));
    return { state: 'NACKED', version, ...sent, error, resource, ...(refused.length > 0 ? { refused } : {}) };
  }
  const stale = sub.inFlight !== undefined || sub.hasUpserts(view);
  return { state: stale ? 'STALE' : 'SYNCED', version, ...sent, error: '', resource: '' };
}

// Rule 4's exception: addresses that several services share on purpose (a gateway, a NAT) are no conflict.
import { addressBytes, contains, parseCidr } from '../lib/cidr.ts';
import type { Cidr } from '../lib/cidr.ts';
import type { Conflicts } from './addresses.ts';

/** The conflicts outside `ranges`; the same object (===) when that is all of them. */
export function withoutShared(conflicts: Conflicts, ranges: readonly string[]): Conflicts {
  if (conflicts.size === 0 || ranges.length === 0) return conflicts;
  const parsed = ranges.flatMap((range): readonly Cidr[] => {
    const result = parseCidr(range);
    return 'cidr' in result ? [result.cidr] : [];
  });
  const left = [...conflicts].filter(([key]) => {
    const address = addressBytes(addressOf(key));
    return !address || !parsed.some((range) => contains(range, address));
  });
  return left.length === conflicts.size ? conflicts : new Map(left);
}

/** From an endpointKey(): `network/10.0.0.1:80`, `[::1]:80`. */
function addressOf(key: string): string {
  const at = key.slice(key.lastIndexOf('/') + 1);
  return at.slice(0, at.lastIndexOf(':')).replace(/^\[|\]$/g, '');
}

// What every bootstrap says alike: where the control plane is, and where the data plane runs. Pure.
import { parseListenAddress } from '../../config/addresses.ts';
import { usage } from '../usage.ts';

/** '' where nothing is said. */
export interface NodeLocality {
  readonly region: string;
  readonly zone: string;
  readonly subZone: string;
}

/** A node's `locality`, without what is not said. */
export const localityOf = ({ region, zone, subZone }: NodeLocality) => ({
  ...(region && { region }),
  ...(zone && { zone }),
  ...(subZone && { sub_zone: subZone }),
});

/** A port and a host that can be called; throws ISTHMUS_USAGE. */
export function xdsAddress(text: string): { readonly host: string; readonly port: number } {
  const at = parseListenAddress(text);
  if (!at || at.host === '' || at.port === 0) throw usage(`--xds: expected HOST:PORT, got "${text}"`);
  return at;
}

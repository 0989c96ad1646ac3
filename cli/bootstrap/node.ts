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

export interface XdsAddress {
  readonly host: string;
  readonly port: number;
}

/** Ports and hosts that can be called, of HOST:PORT, or several with commas; throws ISTHMUS_USAGE. */
export function xdsAddresses(text: string): readonly XdsAddress[] {
  return text.split(',').map((address) => {
    const at = parseListenAddress(address);
    if (!at || at.host === '' || at.port === 0) throw usage(`--xds: expected HOST:PORT, got "${address}"`);
    return at;
  });
}

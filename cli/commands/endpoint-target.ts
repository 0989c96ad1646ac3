// Which endpoints `isthmus endpoint … SERVICE ADDRESS` means: with a port one, without a port all of an address.
import type { EndpointJson, OverrideJson } from '../../admin/types.ts';
import { addressBytes, formatAddress } from '../../lib/cidr.ts';
import { IsthmusError } from '../../lib/errors.ts';
import { endpointKey } from '../../model/endpoint.ts';
import { serviceName } from '../../model/names.ts';
import type { AdminClient } from '../client.ts';
import { usage } from '../usage.ts';

export interface EndpointTarget {
  /** Canonical, as far as the server knows it. */
  readonly service: string;
  /** endpointKey(). */
  readonly key: string;
}

interface Place {
  readonly network: string | undefined;
  readonly address: string;
  readonly port: number | undefined;
}

const SHOWN = 8;

/** @throws ISTHMUS_USAGE with the choices when it is not clear which are meant. */
export async function findTargets(
  client: AdminClient,
  service: string,
  text: string,
  overrides: readonly OverrideJson[],
): Promise<readonly EndpointTarget[]> {
  const wanted = placeOf(text);
  if (!wanted)
    throw usage(`expected ADDRESS or ADDRESS:PORT, such as 10.0.0.1:80 or [::1]:80, got "${text}"`);
  const endpoints = await endpointsOf(client, service);
  const canonical =
    endpoints[0]?.service ?? (service.includes('.') ? service.toLowerCase() : serviceName(service));
  // What was set may be of an instance that is not there now.
  const set = overrides.filter((o) => o.service === canonical).map(({ address }) => address);
  const known = [...new Set([...endpoints.map(endpointKey), ...set])];
  const found = known.filter((key) => fits(wanted, placeOf(key)));
  const networks = new Set(found.map((key) => placeOf(key)?.network));
  if (networks.size > 1) throw usage(`${text} is in several networks, name one of: ${found.join(', ')}`);
  if (found.length > 0) return found.map((key) => ({ service: canonical, key }));
  const { network = '', address, port } = wanted;
  if (port !== undefined) return [{ service: canonical, key: endpointKey({ network, address, port }) }];
  const choices = known.length === 0 ? 'none is known' : `known are ${known.slice(0, SHOWN).join(', ')}`;
  const more = known.length > SHOWN ? ` and ${known.length - SHOWN} more` : '';
  throw usage(
    `${canonical} has no endpoint at ${text}; ${choices}${more}. Name ADDRESS:PORT to set it ahead`,
  );
}

/** None for a service that is not known: an instance may come back. */
async function endpointsOf(client: AdminClient, service: string): Promise<readonly EndpointJson[]> {
  try {
    return await client.list<EndpointJson>(`/api/v1/services/${encodeURIComponent(service)}/endpoints`);
  } catch (thrown) {
    if (thrown instanceof IsthmusError && thrown.code === 'ISTHMUS_SERVER_REFUSED') return [];
    throw thrown;
  }
}

function fits(wanted: Place, place: Place | undefined): boolean {
  return (
    place?.address === wanted.address &&
    (wanted.port === undefined || place.port === wanted.port) &&
    (wanted.network === undefined || place.network === wanted.network)
  );
}

/** `[NETWORK/]ADDRESS[:PORT]`, an IPv6 address with a port in brackets. */
function placeOf(text: string): Place | undefined {
  const slash = text.lastIndexOf('/');
  const network = slash < 0 ? undefined : text.slice(0, slash);
  const at = text.slice(slash + 1);
  const bare = addressBytes(at);
  if (bare) return { network, address: formatAddress(bare), port: undefined };
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]/\s]+))(?::(\d{1,5}))?$/.exec(at);
  const host = match?.[1] ?? match?.[2]?.toLowerCase();
  const port = match?.[3] === undefined ? undefined : Number(match[3]);
  if (host === undefined || (port !== undefined && (port < 1 || port > 65_535))) return undefined;
  const bytes = addressBytes(host);
  return { network, address: bytes ? formatAddress(bytes) : host, port };
}

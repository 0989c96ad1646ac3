// The open streams as clients: a stream of ADS is a client of its own, streams of single types are put
// together by their node.
import type { ProxyStatus } from '../model/proxies.ts';
import type { ClientState } from './stream/inspect.ts';
import type { AnyType } from './types.ts';

export interface StreamStatus {
  readonly status: ProxyStatus;
  /** The only type of the stream; undefined on ADS. */
  readonly only: AnyType | undefined;
}

/** Sorted by node, then by age. */
export function proxiesOf(streams: readonly StreamStatus[]): ProxyStatus[] {
  const whole = streams.filter(({ only }) => only === undefined).map(({ status }) => status);
  const rows = [...whole].sort(byNodeThenAge);
  const singles = streams.filter(({ only }) => only !== undefined);
  for (const { status, only } of singles.sort((a, b) => byNodeThenAge(a.status, b.status))) {
    // Another identity is another client, whatever it calls itself.
    const at = rows.findIndex(({ node, identity }) => node === status.node && identity === status.identity);
    const row = rows[at];
    // The newest stream of a type counts: an older one may be about to break.
    if (!row) rows.push(status);
    else if (only && only in status.types) rows[at] = { ...row, types: mergedTypes(row, status, only) };
  }
  return rows.sort(byNodeThenAge);
}

/** The same for what clients hold, resource by resource. */
export function clientsOf(
  streams: readonly { readonly state: ClientState; readonly only: AnyType | undefined }[],
): ClientState[] {
  const clients = streams.filter(({ only }) => only === undefined).map(({ state }) => state);
  for (const { state } of streams.filter(({ only }) => only !== undefined)) {
    const at = clients.findIndex(({ id }) => id === state.id);
    const client = clients[at];
    if (client) clients[at] = { ...client, types: [...client.types, ...state.types] };
    else clients.push(state);
  }
  return clients;
}

const mergedTypes = (row: ProxyStatus, status: ProxyStatus, only: string): ProxyStatus['types'] => ({
  ...row.types,
  ...Object.fromEntries(Object.entries(status.types).filter(([type]) => type === only)),
});

function byNodeThenAge(a: ProxyStatus, b: ProxyStatus): number {
  if (a.node !== b.node) return a.node < b.node ? -1 : 1;
  return a.connectedSince - b.connectedSince;
}

// A sidecar and the app behind it are one instance: a registry lists the app's port, the sidecar its own. They are
// one endpoint, called at the sidecar's port, with both as witnesses (design §8, Addresses).
import { endpointKey } from '../endpoint.ts';
import { APP_PORT_LABEL } from '../sidecars.ts';
import type { Witness } from './witnesses.ts';

type Witnesses = [Witness, ...Witness[]];

/** @param witnesses by endpointKey(); changed in place. @param order names of sources, as in the config. */
export function joinInstances(witnesses: Map<string, Witnesses>, order: readonly string[]): void {
  for (const [key, list] of witnesses) {
    const appKey = appKeyOf(list);
    const app = appKey === undefined || appKey === key ? undefined : witnesses.get(appKey);
    if (!app || appKey === undefined) continue;
    const { port } = list[0].endpoint;
    const moved = app.map((witness) => ({ ...witness, endpoint: { ...witness.endpoint, port } }));
    const joined = [...list, ...moved].sort((a, b) => order.indexOf(a.source) - order.indexOf(b.source));
    witnesses.delete(appKey);
    witnesses.set(key, [joined[0] ?? list[0], ...joined.slice(1)]);
  }
}

/** Where the app behind it would stand; undefined when no witness is a sidecar that is believed. */
function appKeyOf(list: Witnesses): string | undefined {
  for (const { endpoint, mark } of list) {
    const appPort = endpoint.labels[APP_PORT_LABEL];
    if (appPort !== undefined && !mark.doubted && !mark.quarantined) {
      return endpointKey({ ...endpoint, port: Number(appPort) });
    }
  }
  return undefined;
}

// In which locality of a cluster an address lies, by what the data planes were told: the assignment that is
// served. What was there before the last change still counts, since requests end after it.
import { SocketAddress, isIPv6 } from 'node:net';
import type { Locality } from '../../model/endpoint.ts';
import { NO_LOCALITY } from '../../model/endpoint.ts';
import { decode } from '../../proto/codec.ts';
import type { ClusterLoadAssignment__Output } from '../../proto/gen/types/envoy/config/endpoint/v3/ClusterLoadAssignment.ts';
import type { Clock } from '../../lib/clock.ts';
import type { EncodedResource } from '../resource.ts';
import { MESSAGE_NAME } from '../types.ts';

/** An assignment of many endpoints that changes all the time is read once in so long. */
const READ_EVERY_MS = 1_000;
/** More clusters than anybody calls at once: then all are read anew. */
const MAX_CLUSTERS = 10_000;

type Places = ReadonlyMap<string, Locality>;

interface Known {
  readonly version: string;
  readonly readAt: number;
  readonly places: Places;
  readonly before: Places | undefined;
}

export class PlaceBook {
  readonly #clock: Clock;
  readonly #clusters = new Map<string, Known>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @param assignment the one that is served; undefined: none. @returns undefined for an address nobody was told of. */
  find(assignment: EncodedResource | undefined, address: string, port: number): Locality | undefined {
    if (!assignment) return undefined;
    const known = this.#read(assignment);
    const key = placeKey(address, port);
    return known.places.get(key) ?? known.before?.get(key);
  }

  #read(assignment: EncodedResource): Known {
    const { name, version } = assignment;
    const known = this.#clusters.get(name);
    const now = this.#clock.monotonic();
    if (known && (known.version === version || now - known.readAt < READ_EVERY_MS)) return known;
    if (this.#clusters.size >= MAX_CLUSTERS) this.#clusters.clear();
    const next: Known = { version, readAt: now, places: placesOf(assignment), before: known?.places };
    this.#clusters.set(name, next);
    return next;
  }
}

function placesOf(assignment: EncodedResource): Places {
  const places = new Map<string, Locality>();
  const { endpoints = [] } = decode<ClusterLoadAssignment__Output>(MESSAGE_NAME.eds, assignment.bytes);
  for (const { locality, lb_endpoints = [] } of endpoints) {
    const { region = '', zone = '', sub_zone: subZone = '' } = locality ?? {};
    const at = region || zone || subZone ? { region, zone, subZone } : NO_LOCALITY;
    for (const { endpoint } of lb_endpoints) {
      const { address = '', port_value: port = 0 } = endpoint?.address?.socket_address ?? {};
      const key = placeKey(address, port);
      if (!places.has(key)) places.set(key, at);
    }
  }
  return places;
}

/** IPv6 has many spellings. */
function placeKey(address: string, port: number): string {
  const plain = isIPv6(address) ? new SocketAddress({ address, family: 'ipv6' }).address : address;
  return `${plain} ${port}`;
}

// What one client wants of one type, what it still has to be told, and what it was told last: the state
// machine that both protocol variants share. No I/O, no clock, no knowledge of registries.
import type { View } from '../view.ts';
import type { EncodedResource } from '../resource.ts';
import type { ResourceType } from '../types.ts';

/** What a response says. */
export interface Content {
  readonly version: string;
  readonly resources: readonly EncodedResource[];
  readonly removed: readonly string[];
}

/** What the stream's plan lets a response hold at this moment. */
export interface Allowance {
  /** Names that vanished may be taken away; until then they stay as they were. */
  readonly remove: boolean;
  /** Start-up: nothing may be taken from a client that it brought along. */
  readonly onlyAdd: boolean;
}

/** A response that was sent and neither ACKed nor NACKed yet. */
export interface InFlight extends Content {
  readonly nonce: string;
  /** Monotonic ms. */
  readonly sentAt: number;
}

export interface Refusal {
  readonly version: string;
  readonly error: string;
  /** Name of the resource at fault, as far as the client's text tells; '' when it does not. */
  readonly resource: string;
}

/** Error texts can hold a whole resource (80 KB seen); what is kept is enough to act on. */
const MAX_ERROR_LENGTH = 4_096;

export class Subscription {
  readonly type: ResourceType;
  wildcard = false;
  readonly names = new Set<string>();
  /** Names that must be answered once, changed or not: just subscribed, or asked for by the protocol. */
  readonly answers = new Set<string>();
  /** Names whose content changed (or vanished) since it was last sent. */
  readonly dirty = new Set<string>();
  /** Names the client held when the stream began. */
  readonly brought = new Set<string>();
  /** SotW: no name was ever given, so an empty list still means everything. */
  legacyWildcard = true;
  /** SotW: what the last response held, for types whose responses are whole sets. */
  lastSet: ReadonlyMap<string, EncodedResource> = new Map();
  lastSetVersion = '';
  /** A first answer is owed even if nothing matches: it ends the client's wait. */
  owesFirst = false;
  inFlight: InFlight | undefined;
  /** Versions the client refused, by name; not sent again until the content differs. */
  readonly parked = new Map<string, string>();
  refusal: Refusal | undefined;
  /** Version of the last ACKed response; '' before. */
  ackedVersion = '';
  everSent = false;

  constructor(type: ResourceType) {
    this.type = type;
  }

  wants(name: string): boolean {
    return this.wildcard || this.names.has(name);
  }

  /** Marks a changed or removed resource. */
  touch(name: string): void {
    if (this.wants(name)) this.dirty.add(name);
  }

  /** Something waits to be sent. */
  get pending(): boolean {
    return this.owesFirst || this.answers.size > 0 || this.dirty.size > 0;
  }

  /** Something other than a removal waits. */
  hasUpserts(view: View): boolean {
    if (this.owesFirst || this.answers.size > 0) return true;
    for (const name of this.dirty) {
      const resource = view.get(this.type, name);
      if (resource && !this.isParked(resource)) return true;
    }
    return false;
  }

  /** The client came with everything it should have. */
  upToDate(version: string): void {
    this.ackedVersion = version;
    this.everSent = true;
  }

  sent(response: InFlight): void {
    this.inFlight = response;
    this.everSent = true;
    this.owesFirst = false;
  }

  /** Only the newest response can be ACKed; any other nonce says nothing about it. */
  acknowledge(nonce: string): InFlight | undefined {
    const response = this.inFlight;
    if (!response || response.nonce !== nonce) return undefined;
    this.inFlight = undefined;
    this.ackedVersion = response.version;
    this.refusal = undefined;
    for (const { name } of response.resources) this.parked.delete(name);
    return response;
  }

  /** The old versions stay in force at the client; the refused ones are parked. */
  refuse(nonce: string, error: string): InFlight | undefined {
    const response = this.inFlight;
    if (!response || response.nonce !== nonce) return undefined;
    this.inFlight = undefined;
    for (const { name, version } of response.resources) this.parked.set(name, version);
    this.refusal = {
      version: response.version,
      error: error.slice(0, MAX_ERROR_LENGTH),
      resource: guilty(error, response.resources),
    };
    return response;
  }

  /** The client refused exactly these bytes. */
  isParked(resource: EncodedResource): boolean {
    return this.parked.get(resource.name) === resource.version;
  }
}

/** The longest name of the response that the error text mentions, or its only one. */
function guilty(error: string, resources: readonly EncodedResource[]): string {
  if (resources.length === 1) return resources[0]?.name ?? '';
  const named = resources.filter((r) => error.includes(r.name)).map((r) => r.name);
  return named.sort((a, b) => b.length - a.length)[0] ?? '';
}

/** All names of a type that a wildcard covers plus those asked for by name. */
export function visibleNames(subscription: Subscription, view: View): Set<string> {
  const names = new Set(subscription.names);
  if (subscription.wildcard) for (const name of view.names(subscription.type)) names.add(name);
  return names;
}

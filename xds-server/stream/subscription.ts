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
  /** SotW, whole sets: the members by name, and those that are new or changed against what the client holds. */
  readonly whole?: {
    readonly set: ReadonlyMap<string, EncodedResource>;
    readonly fresh: readonly EncodedResource[];
  };
}

/** What the stream's plan lets a response hold at this moment. */
export interface Allowance {
  /** Names that vanished may be taken away; until then they stay as they were. */
  readonly remove: boolean;
  /** Start-up: nothing may be taken from a client that it brought along (see `withheld`). */
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
  /** Monotonic ms. */
  readonly at: number;
}

/** Error texts can hold a whole resource (80 KB seen); what is kept is enough to act on. */
const MAX_ERROR_LENGTH = 4_096;
const MAX_SEARCHED_LENGTH = 16_384;

export class Subscription {
  readonly type: ResourceType;
  wildcard = false;
  readonly names = new Set<string>();
  /** Names that must be answered once, changed or not: just subscribed, or asked for by the protocol. */
  readonly answers = new Set<string>();
  /** Names whose content changed (or vanished) since it was last sent. */
  readonly dirty = new Set<string>();
  /** What the client held when the stream began: versions by name, '' where the protocol does not tell. */
  readonly brought = new Map<string, string>();
  /** The client came back with resources (SotW tells no more than that). */
  cameBack = false;
  /** Names that start-up holds back; they become dirty when every source has answered. */
  readonly withheld = new Set<string>();
  /** SotW: a whole set that start-up holds back. */
  withheldSet = false;
  /** SotW: no name was ever given, so an empty list still means everything. */
  legacyWildcard = true;
  /** SotW, types whose responses are whole sets: what the client holds, that is the last set it ACKed. */
  heldSet: ReadonlyMap<string, EncodedResource> = new Map();
  /** SotW: version of the last set that was sent. */
  lastSetVersion = '';
  /** A first answer is owed even if nothing matches: it ends the client's wait. */
  owesFirst = false;
  inFlight: InFlight | undefined;
  /** Versions the client refused, by name; not sent again until the content differs. */
  readonly parked = new Map<string, string>();
  /** The last NACK, until what was refused has changed (see refusalAgainst()). */
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
    for (const { name } of response.resources) this.withheld.delete(name);
  }

  /** Every source has answered: what start-up held back is due. */
  release(): void {
    if (!this.cameBack && !this.withheldSet && this.brought.size + this.withheld.size === 0) return;
    for (const name of this.withheld) this.dirty.add(name);
    this.withheld.clear();
    if (this.withheldSet) this.owesFirst = true;
    this.withheldSet = false;
    this.brought.clear();
    this.cameBack = false;
  }

  /** Only the newest response can be ACKed; any other nonce says nothing about it. */
  acknowledge(nonce: string): InFlight | undefined {
    const response = this.inFlight;
    if (!response || response.nonce !== nonce) return undefined;
    this.inFlight = undefined;
    this.ackedVersion = response.version;
    for (const { name } of response.resources) this.parked.delete(name);
    if (response.whole) this.heldSet = response.whole.set;
    if (this.parked.size === 0) this.refusal = undefined;
    return response;
  }

  /**
   * The old versions stay in force at the client. What its text names is parked and the rest is due again,
   * since one bad resource makes a client refuse a whole response; a text that names none parks all of it.
   */
  refuse(nonce: string, error: string, now: number): InFlight | undefined {
    const response = this.inFlight;
    if (!response || response.nonce !== nonce) return undefined;
    this.inFlight = undefined;
    const fresh = response.whole?.fresh ?? response.resources;
    const named = mentioned(error.slice(0, MAX_SEARCHED_LENGTH), fresh);
    for (const resource of fresh) {
      if (named.length === 0 || named.includes(resource)) this.parked.set(resource.name, resource.version);
      else this.dirty.add(resource.name);
    }
    // A removal is tried again without the rest; one that came alone is not.
    if (fresh.length > 0) for (const name of response.removed) this.dirty.add(name);
    this.refusal = {
      version: response.version,
      error: error.slice(0, MAX_ERROR_LENGTH),
      resource: (named[0] ?? (fresh.length === 1 ? fresh[0] : undefined))?.name ?? '',
      at: now,
    };
    return response;
  }

  /** The last NACK while the client would still be sent something it refused; undefined after. */
  refusalAgainst(view: View): Refusal | undefined {
    if (!this.refusal || this.parked.size === 0) return this.refusal;
    for (const [name, version] of this.parked) {
      if (view.get(this.type, name)?.version === version) return this.refusal;
    }
    this.parked.clear();
    this.refusal = undefined;
    return undefined;
  }

  /** The client refused exactly these bytes. */
  isParked(resource: EncodedResource): boolean {
    return this.parked.get(resource.name) === resource.version;
  }
}

/** The resources that an error text names, in the order of the text. */
function mentioned(error: string, resources: readonly EncodedResource[]): EncodedResource[] {
  return resources
    .flatMap((resource) => {
      const at = positionOf(resource.name, error);
      return at < 0 ? [] : [{ resource, at }];
    })
    .sort((a, b) => a.at - b.at)
    .map(({ resource }) => resource);
}

/** `orders.default` is not named by a text that says `orders.default:grpc` or `old-orders.default`. */
function positionOf(name: string, text: string): number {
  for (let at = text.indexOf(name); at >= 0; at = text.indexOf(name, at + 1)) {
    const after = text.slice(at + name.length, at + name.length + 2);
    if (!/[\w.@/-]/.test(text.charAt(at - 1)) && !/^([\w@/-]|[.:]\w)/.test(after)) return at;
  }
  return -1;
}

/** All names of a type that a wildcard covers plus those asked for by name. */
export function visibleNames(subscription: Subscription, view: View): Set<string> {
  const names = new Set(subscription.names);
  if (subscription.wildcard) for (const name of view.names(subscription.type)) names.add(name);
  return names;
}

/**
 * Start-up: would this answer take something from a client that it came with? A removal, endpoints that
 * became none, a route configuration that may lack services whose source has not answered yet.
 */
export function takesAway(sub: Subscription, name: string, resource: EncodedResource | undefined): boolean {
  const held = sub.brought.get(name);
  if (held === undefined) return false;
  return !resource || resource.empty || (sub.type === 'rds' && held !== resource.version);
}

// What one client wants of one type, what it still has to be told, and what it was told last: the state
// machine that both protocol variants share. No I/O, no clock, no knowledge of registries.
import type { View } from '../view.ts';
import type { EncodedResource } from '../resource.ts';
import type { ResourceType } from '../types.ts';
import { blame, shortened } from './blame.ts';
import type { Interested } from './interest.ts';
import { Trials } from './trials.ts';

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

/** Content that the client refused. */
export interface Parked {
  readonly version: string;
  readonly error: string;
}

export class Subscription {
  readonly type: ResourceType;
  readonly #interested: Interested | undefined;
  #wildcard = false;
  readonly #names = new Set<string>();
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
  /** What the client refused, by name; not sent again until the content differs. */
  readonly parked = new Map<string, Parked>();
  /** What it refused together with others, until it is known which of them it means. */
  readonly trials = new Trials();
  trialWasLast = false;
  readonly #newlyParked: string[] = [];
  /** The last NACK, until what was refused has changed (see refusalAgainst()). */
  refusal: Refusal | undefined;
  /** Version of the last ACKed response; '' before. */
  ackedVersion = '';
  everSent = false;

  /** @param interested is told what it wants. */
  constructor(type: ResourceType, interested?: Interested) {
    this.type = type;
    this.#interested = interested;
  }

  get wildcard(): boolean {
    return this.#wildcard;
  }

  set wildcard(is: boolean) {
    this.#wildcard = is;
    this.#interested?.all(is);
  }

  /** Asked for one by one. */
  get names(): ReadonlySet<string> {
    return this.#names;
  }

  addName(name: string): void {
    if (this.#names.has(name)) return;
    this.#names.add(name);
    this.#interested?.added(name);
  }

  /** False when it was not there. */
  deleteName(name: string): boolean {
    if (!this.#names.delete(name)) return false;
    this.#interested?.deleted(name);
    return true;
  }

  wants(name: string): boolean {
    return this.#wildcard || this.#names.has(name);
  }

  /** Marks a changed or removed resource. */
  touch(name: string, view: View): void {
    if (this.sees(name, view)) this.dirty.add(name);
  }

  /** Named, or covered by the wildcard. */
  sees(name: string, view: View): boolean {
    return this.names.has(name) || (this.wildcard && view.covers(this.type, name));
  }

  /** Something waits to be sent. */
  get pending(): boolean {
    return this.owesFirst || this.answers.size > 0 || this.dirty.size > 0 || this.trials.pending;
  }

  /** Something other than a removal waits. */
  hasUpserts(view: View): boolean {
    if (this.owesFirst || this.answers.size > 0 || this.trials.pending) return true;
    for (const name of this.dirty) {
      const resource = view.get(this.type, name);
      if (resource && !this.isKeptBack(resource)) return true;
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
    for (const { name } of response.resources) {
      this.withheld.delete(name);
      this.trials.forget(name);
    }
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
    for (const { name } of response.whole?.fresh ?? response.resources) this.parked.delete(name);
    if (response.whole) this.heldSet = response.whole.set;
    this.trials.rest();
    if (this.parked.size === 0 && !this.trials.pending) this.refusal = undefined;
    return response;
  }

  /**
   * The old versions stay in force at the client. What its text blames is parked and the rest is due again,
   * since one bad resource makes a client refuse a whole response; where it blames none, halves are tried.
   */
  refuse(nonce: string, text: string, now: number): InFlight | undefined {
    const response = this.inFlight;
    if (!response || response.nonce !== nonce) return undefined;
    this.inFlight = undefined;
    const fresh = response.whole?.fresh ?? response.resources;
    const { guilty, suspects } = blame(text, fresh);
    const error = shortened(text);
    const blamed = new Set([...guilty, ...suspects]);
    for (const resource of fresh) if (!blamed.has(resource)) this.dirty.add(resource.name);
    this.#judge(guilty, suspects, error);
    if (response.whole) this.trials.refusedSet(response.version);
    // A removal is tried again without the rest; one that came alone is not.
    if (fresh.length > 0) for (const name of response.removed) this.dirty.add(name);
    // The client is back at the set before.
    if (response.whole && fresh.length > 0) this.lastSetVersion = this.ackedVersion;
    this.refusal = { version: response.version, error, resource: guilty[0]?.name ?? '', at: now };
    return response;
  }

  /** SotW: with this news the set would be one that was refused already, so the guilty one is in it. */
  convict(fresh: readonly EncodedResource[]): void {
    const error = this.refusal?.error ?? '';
    if (fresh.length === 1) this.#judge(fresh, [], error);
    else this.#judge([], fresh, error);
  }

  /** Names that were parked since this was asked last. */
  takeParked(): readonly string[] {
    return this.#newlyParked.splice(0);
  }

  #judge(guilty: readonly EncodedResource[], suspects: readonly EncodedResource[], error: string): void {
    if (suspects.length > 0) this.trials.divide(suspects);
    for (const { name, version } of guilty.flatMap((one) => [one, ...this.trials.found()])) {
      this.parked.set(name, { version, error });
      this.#newlyParked.push(name);
    }
    this.trials.rest();
  }

  /** The last NACK while the client would still be sent something it refused; undefined after. */
  refusalAgainst(view: View): Refusal | undefined {
    if (!this.refusal || this.parked.size === 0) return this.refusal;
    for (const [name, { version, error }] of this.parked) {
      if (view.get(this.type, name)?.version === version) return { ...this.refusal, resource: name, error };
    }
    this.parked.clear();
    if (!this.trials.pending) this.refusal = undefined;
    return this.refusal;
  }

  /** The client refused exactly these bytes, or may have. */
  isKeptBack(resource: EncodedResource): boolean {
    return this.parked.get(resource.name)?.version === resource.version || this.trials.holds(resource);
  }
}

/** Those of the next trial that the client still wants; they are due no other way then. */
export function takeTrial(sub: Subscription, view: View): EncodedResource[] {
  const trial = sub.trials.next((name) => (sub.wants(name) ? view.get(sub.type, name) : undefined));
  for (const { name } of trial) sub.dirty.delete(name);
  return trial;
}

/** Trials and everything else take turns, so that neither starves the other. */
export function inTurns(
  sub: Subscription,
  trial: () => Content | undefined,
  news: () => Content | undefined,
): Content | undefined {
  if (!sub.trials.pending) return news();
  sub.trialWasLast = !sub.trialWasLast;
  return sub.trialWasLast ? (trial() ?? news()) : (news() ?? trial());
}

/** As the client may see it: what its wildcard does not cover exists for it by name alone. */
export const seen = (sub: Subscription, view: View, name: string): EncodedResource | undefined =>
  sub.wildcard && !sub.sees(name, view) ? undefined : view.get(sub.type, name);

/** All names of a type that a wildcard covers plus those asked for by name. */
export function visibleNames(subscription: Subscription, view: View): Set<string> {
  const names = new Set(subscription.names);
  if (subscription.wildcard) for (const name of view.names(subscription.type)) names.add(name);
  return names;
}

export interface Change {
  readonly type: ResourceType;
  readonly name: string;
  readonly change: 'added' | 'changed' | 'removed';
}

/** What is another one, or there at all, in one of two views only. */
export function differences(sub: Subscription, before: View, after: View): Change[] {
  const names = new Set([...visibleNames(sub, before), ...visibleNames(sub, after)]);
  return [...names].flatMap((name): Change[] => {
    const [was, is] = [before.get(sub.type, name)?.version, after.get(sub.type, name)?.version];
    if (was === is) return [];
    const change = was === undefined ? 'added' : is === undefined ? 'removed' : 'changed';
    return [{ type: sub.type, name, change }];
  });
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

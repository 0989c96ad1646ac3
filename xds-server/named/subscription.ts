// What a client asked for of a type that is asked for by name alone. Each name is answered at once, with what there
// is or with its absence, and again when that changes; the same is never told twice, and what was refused not again
// until it is another one. A wildcard covers nothing. Rules X5 to X13 of docs/xds.md.
import type { ProxyTypeStatus } from '../../model/proxies.ts';
import { hashOfSet } from '../set-version.ts';
import { shortened } from '../stream/blame.ts';
import type { ResourceStatus } from '../stream/inspect.ts';
import type { NamedType } from '../types.ts';
import type { AnyRequest } from '../stream/protocol.ts';
import { absenceOf, isRefusedWhenAbsent } from './absence.ts';
import type { Variant } from './absence.ts';
import type { NamedResource, NamedSource } from './resources.ts';

/** A response is cut when it passes this. */
const MAX_RESPONSE_BYTES = 2 * 1024 * 1024;
/** Of names that do not exist, so many are told to people. */
const MAX_ABSENT_SHOWN = 20;
/** What an entry costs beside its name and content, about. */
const ENTRY_BYTES = 8;

export interface NamedContent {
  readonly version: string;
  readonly resources: readonly NamedResource[];
  readonly removed: readonly string[];
  /** Of what there is: alone in its response, so that a refusal means it. undefined: it tells of absences. */
  readonly real: NamedResource | undefined;
}

interface InFlight extends NamedContent {
  readonly nonce: string;
  /** Monotonic ms. */
  readonly sentAt: number;
}

/** What an answer of the client was about. */
export interface Answered {
  readonly sentAt: number;
  /** undefined: it was taken, or it was an absence that is told by what is refused. */
  readonly refused: string | undefined;
}

/** Those of one response. */
class Absences {
  readonly resources: NamedResource[] = [];
  readonly removed: string[] = [];
  readonly #type: NamedType;
  readonly #variant: Variant;
  #bytes = 0;

  constructor(type: NamedType, variant: Variant) {
    this.#type = type;
    this.#variant = variant;
  }

  get none(): boolean {
    return this.resources.length + this.removed.length === 0;
  }

  get full(): boolean {
    return this.#bytes > MAX_RESPONSE_BYTES;
  }

  add(name: string): void {
    const absence = absenceOf(this.#variant, this.#type, name);
    if (absence === undefined) return;
    if (absence === 'removed') this.removed.push(name);
    else this.resources.push(absence);
    this.#bytes += absence === 'removed' ? ENTRY_BYTES + Buffer.byteLength(name) : absence.delta.length;
  }
}

export class NamedSubscription {
  readonly type: NamedType;
  readonly #variant: Variant;
  readonly #names = new Set<string>();
  #wildcard = false;
  /** A wildcard is answered once, by nothing: it ends the client's wait. */
  #owesFirst = false;
  /** To be told, whatever was told before. */
  readonly #asked = new Set<string>();
  readonly #changed = new Set<string>();
  /** Versions by name; '' for what does not exist. */
  readonly #told = new Map<string, string>();
  /** What the client held when the stream began. */
  readonly #brought = new Set<string>();
  readonly #refused = new Map<string, { readonly version: string; readonly error: string }>();
  #inFlight: InFlight | undefined;
  #begun = false;
  #everSent = false;
  ackedVersion = '';

  constructor(type: NamedType, variant: Variant) {
    this.type = type;
    this.#variant = variant;
  }

  /** Undefined when the request answers nothing. */
  answered({ nonce, error }: AnyRequest): Answered | undefined {
    const sent = this.#inFlight;
    if (!sent || sent.nonce !== nonce) return undefined;
    this.#inFlight = undefined;
    const { sentAt, real, version } = sent;
    if (error === undefined) {
      this.ackedVersion = version;
      if (real) this.#refused.delete(real.name);
      return { sentAt, refused: undefined };
    }
    if (real && this.#names.has(real.name)) {
      // A copy: the text is kept for long, and what it came in may be large.
      this.#refused.set(real.name, { version: real.version, error: shortened(error) });
    }
    const expected = !real && isRefusedWhenAbsent(this.#variant, this.type);
    return { sentAt, refused: expected ? undefined : (real?.name ?? '') };
  }

  subscribe(request: AnyRequest): void {
    const first = !this.#begun;
    this.#begun = true;
    if ('subscribe' in request) {
      const { subscribe, unsubscribe } = request;
      if (first && subscribe.length === 0) this.#all(true);
      for (const name of subscribe) this.#ask(name);
      for (const name of unsubscribe) this.#drop(name);
      if (first) for (const name of request.initialVersions.keys()) this.#brought.add(name);
      return;
    }
    const names = new Set(request.names);
    if (first && names.size === 0) this.#all(true);
    for (const name of this.#names) if (!names.has(name)) this.#drop(name);
    for (const name of names) if (!this.#names.has(name)) this.#ask(name);
    if (first && request.version !== '') for (const name of names) this.#brought.add(name);
  }

  /** True when it is subscribed to one of those that changed. */
  mark(names: Iterable<string>): boolean {
    let marked = false;
    for (const name of names) {
      if (!this.#names.has(name)) continue;
      this.#changed.add(name);
      marked = true;
    }
    return marked;
  }

  /** @param onlyAdd nothing is taken from the client that it came with. */
  take(source: NamedSource, onlyAdd: boolean): NamedContent | undefined {
    if (this.#inFlight) return undefined;
    const absences = new Absences(this.type, this.#variant);
    for (const name of this.#due()) {
      const resource = source.get(this.type, name);
      if (!this.#asked.has(name) && this.#isKnown(name, resource)) {
        this.#settle(name, resource);
      } else if (!resource) {
        if (absences.full) break;
        if (onlyAdd && this.#brought.has(name)) continue;
        this.#settle(name, undefined);
        absences.add(name);
      } else if (absences.none) {
        this.#settle(name, resource);
        return this.#content([resource], [], resource);
      }
    }
    if (absences.none && !this.#owesFirst) return undefined;
    return this.#content(absences.resources, absences.removed, undefined);
  }

  sent(content: NamedContent, nonce: string, sentAt: number): void {
    this.#inFlight = { ...content, nonce, sentAt };
    this.#everSent = true;
  }

  /** What became of the type, for people. */
  status(source: NamedSource): ProxyTypeStatus {
    const names = [...this.#names];
    const missing = names.filter((name) => !source.get(this.type, name));
    const version = this.ackedVersion;
    const last = this.#inFlight?.version ?? version;
    const [error = '', resource = ''] = this.#blamed(source);
    return {
      state: resource === '' ? this.#progress(names.length > missing.length) : 'NACKED',
      version,
      ...(last !== version && { sent: last }),
      error,
      resource,
      ...(missing.length > 0 && { absent: missing.sort().slice(0, MAX_ABSENT_SHOWN) }),
    };
  }

  /** The client's words for the first name that it does not take, and that name. */
  #blamed(source: NamedSource): readonly [string, string] | readonly [] {
    for (const [name, { version, error }] of this.#refused) {
      if (source.get(this.type, name)?.version === version) return [error, name];
    }
    return [];
  }

  /** @param isThere some name that it asked for exists. */
  #progress(isThere: boolean): ProxyTypeStatus['state'] {
    if (!this.#everSent) return 'NOT_SENT';
    if (this.#inFlight || this.#asked.size + this.#changed.size > 0) return 'STALE';
    return isThere ? 'SYNCED' : 'NOT_SENT';
  }

  /** Sorted by name. */
  inspect(source: NamedSource): readonly ResourceStatus[] {
    return [...this.#names].sort().map((name): ResourceStatus => {
      const resource = source.get(this.type, name);
      const refused = this.#refused.get(name);
      if (resource && refused?.version === resource.version) {
        return { name, state: 'ERROR', resource, error: refused.error };
      }
      const isTold = resource !== undefined && this.#told.get(name) === resource.version;
      const state = !isTold ? 'NOT_SENT' : this.#inFlight?.real === resource ? 'STALE' : 'SYNCED';
      return { name, state, resource, error: '' };
    });
  }

  #ask(name: string): void {
    if (name === '*') return this.#all(true);
    this.#names.add(name);
    this.#asked.add(name);
  }

  #drop(name: string): void {
    if (name === '*') return this.#all(false);
    this.#names.delete(name);
    for (const of of [this.#asked, this.#changed, this.#told, this.#refused, this.#brought]) of.delete(name);
  }

  #all(is: boolean): void {
    if (is && !this.#wildcard) this.#owesFirst = true;
    this.#wildcard = is;
  }

  *#due(): Generator<string> {
    yield* this.#asked;
    yield* this.#changed;
  }

  /** It was told so, or refused it. */
  #isKnown(name: string, resource: NamedResource | undefined): boolean {
    const told = this.#told.get(name) === (resource?.version ?? '');
    return told || (resource !== undefined && this.#refused.get(name)?.version === resource.version);
  }

  #settle(name: string, resource: NamedResource | undefined): void {
    this.#asked.delete(name);
    this.#changed.delete(name);
    this.#brought.delete(name);
    this.#told.set(name, resource?.version ?? '');
  }

  #content(
    resources: readonly NamedResource[],
    removed: readonly string[],
    real: NamedResource | undefined,
  ): NamedContent {
    this.#owesFirst = false;
    const versioned = resources.filter(({ version }) => version !== '');
    return { version: hashOfSet(versioned), resources, removed, real };
  }
}

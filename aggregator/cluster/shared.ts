// A source's catalogue as the replicas share it: what the bucket of shards holds of it, and the rule which of
// that counts. Used by those who follow, to adopt it, and by the holder, to write only what differs.
import type { Shard } from '../../model/shard.ts';
import type { BusEntry } from './bus.ts';
import { readKey, readShard, readSource, sourceKey } from './records.ts';
import type { ShardRecord, SourceRecord } from './records.ts';

/** The last record of one service. */
export interface Known {
  readonly revision: number;
  /** undefined: not to be read. */
  readonly record: ShardRecord | undefined;
}

export type SharedUpdate =
  | { readonly type: 'shard'; readonly shard: Shard }
  | { readonly type: 'gone'; readonly service: string }
  | { readonly type: 'source'; readonly record: SourceRecord };

export class SharedSource {
  readonly source: string;
  readonly #known = new Map<string, Known>();
  /** By key: parts that wait for the record they belong to, and those it had. */
  readonly #parts = new Map<string, { readonly revision: number; readonly value: Uint8Array | undefined }>();
  #record: SourceRecord | undefined;
  /** Revision of the source's own record. */
  sourceRevision = 0;
  /** Revision at which the newest token was announced. */
  #announced = 0;

  constructor(source: string) {
    this.source = source;
  }

  get record(): SourceRecord | undefined {
    return this.#record;
  }

  /** 0 when nothing was ever written under the key. */
  revisionOf(service: string): number {
    return this.#known.get(service)?.revision ?? 0;
  }

  partRevision(key: string): number {
    return this.#parts.get(key)?.revision ?? 0;
  }

  partKeysOf(service: string): readonly string[] {
    return [...this.#parts.keys()].filter((key) => {
      const at = readKey(key);
      return at.service === service && this.#parts.get(key)?.value !== undefined;
    });
  }

  /** All that counts. */
  shards(): readonly Shard[] {
    return [...this.#known.values()].flatMap((known) =>
      known.record?.shard && this.counts(known) ? [known.record.shard] : [],
    );
  }

  /** All services that were ever spoken of. */
  services(): Iterable<string> {
    return this.#known.keys();
  }

  /** True when the last record says just this under this token, or said it before under one that counts. */
  says(service: string, hash: string): boolean {
    const known = this.#known.get(service);
    return known?.record ? known.record.hash === hash && this.counts(known) : hash === '';
  }

  /** False for what a holder wrote that had already lost the lease. */
  counts({ revision, record }: Known): boolean {
    if (!record || !this.#record) return true;
    return record.token >= this.#record.token || revision < this.#announced;
  }

  /** Takes an entry of the watch; undefined when it changes nothing that counts. */
  take(entry: Omit<BusEntry, 'at'>): SharedUpdate | undefined {
    if (entry.key === sourceKey(this.source)) return this.#takeSource(entry);
    const { service, isPart } = readKey(entry.key);
    // What this replica wrote itself is known before the watch tells it.
    const known = isPart ? this.#parts.get(entry.key) : this.#known.get(service);
    if (known && known.revision >= entry.revision) return undefined;
    if (isPart) {
      this.#parts.set(entry.key, { revision: entry.revision, value: entry.value });
      return undefined;
    }
    const record =
      entry.value && readShard(entry.value, (hash, parts) => this.#partsOf(entry.key, hash, parts));
    const now: Known = { revision: entry.revision, record };
    this.#known.set(service, now);
    // A record that is removed or cannot be read says nothing: what was known of the service stays.
    if (!record || !this.counts(now)) return undefined;
    return record.shard ? { type: 'shard', shard: record.shard } : { type: 'gone', service };
  }

  /** The service of an entry that was not written under this token; undefined for our own, parts and the source's. */
  foreign({ key, revision }: BusEntry, token: number): string | undefined {
    if (key === sourceKey(this.source)) return undefined;
    const { service, isPart } = readKey(key);
    const known = this.#known.get(service);
    if (isPart || known?.revision !== revision) return undefined;
    return known.record?.token === token ? undefined : service;
  }

  /** What this replica has just written, without waiting for the watch to tell it. */
  wrote(service: string, revision: number, record: ShardRecord): void {
    this.#known.set(service, { revision, record });
  }

  #takeSource({ revision, value }: Omit<BusEntry, 'at'>): SharedUpdate | undefined {
    if (revision <= this.sourceRevision) return undefined;
    this.sourceRevision = revision;
    const record = value && readSource(value);
    if (!record || record.token < (this.#record?.token ?? 0)) return undefined;
    if (record.token > (this.#record?.token ?? 0)) this.#announced = record.since ?? revision;
    this.#record = record;
    return { type: 'source', record };
  }

  #partsOf(key: string, hash: string, count: number): readonly Uint8Array[] | undefined {
    const parts = Array.from(
      { length: count },
      (_, part) => this.#parts.get(`${key}.${hash}.${part}`)?.value,
    );
    return parts.every((part) => part !== undefined) ? parts : undefined;
  }
}

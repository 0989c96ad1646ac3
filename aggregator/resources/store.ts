// Resources that came over the API, of any kind: kept, shared with the other replicas, and changed only against
// the revision that the writer knows. What a document means, and whether it is good, is not known here.
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import type { Clock } from '../../lib/clock.ts';
import { defineError } from '../../lib/errors.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { escapeKey } from '../cluster/bus.ts';
import { revisionOf } from '../table/row.ts';
import { Table } from '../table/table.ts';
import type { InForce } from '../table/table.ts';

const MAX_RESOURCES = 10_000;

export const RESOURCES_FULL = defineError(
  'ISTHMUS_RESOURCES_FULL',
  (max: number) => `there are ${max} resources already`,
  { hint: 'Delete some, or put them into files.' },
);

interface Ref {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

export interface StoredResource extends Ref {
  readonly document: object;
  /** Milliseconds since the epoch. */
  readonly since: number;
  readonly by: string;
  readonly revision: string;
}

const resourceValue = z.object({
  kind: z.string().min(1),
  namespace: z.string().min(1),
  name: z.string().min(1),
  document: z.record(z.string(), z.unknown()),
});

type ResourceValue = z.infer<typeof resourceValue>;

export interface ResourceStoreOptions {
  /** '': nowhere, then they end with the process. */
  readonly file: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** Another document counts for a name, here or by another replica; `after` undefined: none any more. */
  readonly onChange: (change: ResourceChange) => void;
}

export interface ResourceChange {
  readonly before: StoredResource | undefined;
  readonly after: StoredResource | undefined;
  readonly by: string;
  /** Nobody changed it: it was read at the start. */
  readonly isStart: boolean;
  readonly isElsewhere: boolean;
}

export class ResourceStore {
  /** For sharing it with other replicas. */
  readonly table: Table<ResourceValue>;

  private constructor(table: Table<ResourceValue>) {
    this.table = table;
  }

  static async open({ onChange, ...options }: ResourceStoreOptions): Promise<ResourceStore> {
    const table = await Table.open<ResourceValue>({
      ...options,
      table: 'resources',
      decode: (value) => resourceValue.safeParse(value).data,
      onChange({ before, after, by, why }) {
        onChange({
          before: before && stored(before),
          after: after && stored(after),
          by,
          isStart: why === 'start' || why === 'time',
          isElsewhere: why === 'replica',
        });
      },
    });
    return new ResourceStore(table);
  }

  /** In the order in which they were last written: the same on all replicas. */
  list(): readonly StoredResource[] {
    return this.table
      .list()
      .map(stored)
      .sort((a, b) => a.since - b.since || (a.revision < b.revision ? -1 : 1));
  }

  get(ref: Ref): StoredResource | undefined {
    const row = this.table.get(keyOf(ref));
    return row && stored(row);
  }

  /**
   * @param check throws when the document may not be stored as things are; asked again when they change meanwhile.
   * @param expected revision of what is there, null: nothing; undefined: whatever it is.
   * @throws ISTHMUS_REVISION_CONFLICT, ISTHMUS_RESOURCES_FULL
   */
  async put(
    ref: Ref,
    document: object,
    by: string,
    expected: string | null | undefined,
    check: () => void,
  ): Promise<{
    readonly after: StoredResource | undefined;
    readonly outcome: 'created' | 'configured' | 'unchanged';
    readonly notes: readonly string[];
  }> {
    const { kind, namespace, name } = ref;
    const { before, after, notes } = await this.table.write(
      keyOf(ref),
      (there) => {
        check();
        if (!there && this.table.size >= MAX_RESOURCES) throw RESOURCES_FULL(MAX_RESOURCES);
        if (there && isDeepStrictEqual(there.value.document, document)) return undefined;
        return { value: { kind, namespace, name, document: { ...document } }, by };
      },
      expected,
    );
    const outcome = !before ? 'created' : before === after ? 'unchanged' : 'configured';
    return { after: after && stored(after), outcome, notes };
  }

  /** `removed` undefined: there was none. @throws ISTHMUS_REVISION_CONFLICT */
  async remove(
    ref: Ref,
    by: string,
    expected: string | null | undefined,
  ): Promise<{ readonly removed: StoredResource | undefined; readonly notes: readonly string[] }> {
    const { before, notes } = await this.table.write(
      keyOf(ref),
      (there) => there && { value: undefined, by },
      expected,
    );
    return { removed: before && stored(before), notes };
  }

  close(): Promise<void> {
    return this.table.close();
  }
}

const keyOf = ({ kind, namespace, name }: Ref): string => [kind, namespace, name].map(escapeKey).join('.');

function stored(row: InForce<ResourceValue>): StoredResource {
  return { ...row.value, since: row.at, by: row.by, revision: revisionOf(row) };
}

// Turns what happens in the catalogue into lines of the journal: who changed what, and why. A source's first list
// is one line, not one for each endpoint: what was before it is not known.
import type { Cause, Change, OverrideChange } from '../../model/change.ts';
import type { Shard } from '../../model/shard.ts';
import type { SourceState } from '../../model/snapshot.ts';
import type { KeeperReport } from '../keeper/reports.ts';
import { changesBetween } from './changes.ts';

export class Chronicle {
  readonly #now: () => number;
  readonly #append: (changes: readonly Change[]) => void;
  readonly #causes = new Map<string, Cause>();
  readonly #states = new Map<string, string>();
  /** Sources whose shards were written before. */
  readonly #known = new Set<string>();
  /** Of sources whose first list is being written. */
  readonly #first = new Map<string, { services: number; endpoints: number }>();

  /** @param append takes the lines and returns at once. */
  constructor(now: () => number, append: (changes: readonly Change[]) => void) {
    this.#now = now;
    this.#append = append;
  }

  /** Why the next changes of the source's shards happen. */
  because(source: string, cause: Cause): void {
    this.#causes.set(source, cause);
  }

  shard(source: string, service: string, before: Shard | undefined, after: Shard | undefined): void {
    if (!this.#known.has(source)) return this.#count(source, after);
    const cause = this.#causes.get(source) ?? { kind: 'source', detail: '' };
    this.#append(changesBetween(before, after, { at: this.#now(), source, service, cause }));
  }

  /** All changes of one batch were told. @param isBehind true: more of the source's list is to come. */
  settled(isBehind: (source: string) => boolean): void {
    for (const [source, { services, endpoints }] of this.#first) {
      if (isBehind(source)) continue;
      this.#first.delete(source);
      this.#known.add(source);
      const note = `first heard: ${services} services, ${endpoints} endpoints`;
      this.#note(source, '', note, this.#causes.get(source));
    }
  }

  /** A source went dark or came back. */
  state({ name, state, cause }: SourceState): void {
    const said = state === 'stale' ? `does not answer: ${cause}` : 'answers';
    if (state === 'syncing' || this.#states.get(name) === state) return;
    this.#states.set(name, state);
    this.#note(name, '', said, { kind: 'source', detail: state });
  }

  reports(source: string, reports: readonly KeeperReport[]): void {
    const cause = this.#causes.get(source);
    for (const report of reports) this.#note(source, report.service ?? '', textOf(report), cause);
  }

  /** What an operator or a changed config did to a service. */
  decision(service: string, note: string, cause: Cause, override?: OverrideChange): void {
    this.#append([{ at: this.#now(), source: '', service, note, cause, ...(override ? { override } : {}) }]);
  }

  #count(source: string, after: Shard | undefined): void {
    const first = this.#first.get(source) ?? { services: 0, endpoints: 0 };
    this.#first.set(source, first);
    if (!after) return;
    first.services += 1;
    first.endpoints += after.group.endpoints.length;
  }

  #note(source: string, service: string, note: string, cause?: Cause): void {
    const because = cause ?? { kind: 'source', detail: '' };
    this.#append([{ at: this.#now(), source, service, note, cause: because }]);
  }
}

const shadowed = (shadow: boolean): string => (shadow ? ' (shadow mode: nothing was done)' : '');

/** A keeper's decision in words. */
export function textOf(report: KeeperReport): string {
  switch (report.type) {
    case 'guarded': {
      const { missing, of, shadow } = report;
      return `blast guard: ${missing} of ${of} endpoints left at once and are doubted${shadowed(shadow)}`;
    }
    case 'confirmed':
      return `the source said so for long enough, gone: ${report.keys.join(', ')}`;
    case 'relisted':
      return `listed again: ${report.keys.join(', ')}`;
    case 'held-over':
      return `the hold is over, doubted: ${report.keys.join(', ')}`;
    case 'left':
      return `the hold is over, gone: ${report.keys.join(', ')}`;
    case 'expired':
      return `the hold is over, kept because they are the last: ${report.keys.join(', ')}`;
    case 'quarantined':
      return `quarantined: ${report.key} answered as ${report.answeredAs}`;
    case 'refuted':
      return `pings refuted it, gone: ${report.keys.join(', ')}`;
    case 'returned':
      return `answers pings again: ${report.keys.join(', ')}`;
    case 'released':
      return `answers in its own name again: ${report.keys.join(', ')}`;
    case 'damped':
      return `damped: ${report.key} flaps, factor ${report.factor}${shadowed(report.shadow)}`;
  }
}

// The journal: every change with its cause, in a bounded log on disk. Written behind the back of those who
// change things: nobody waits for it, and a disk that is full or gone costs history, never service.
import { toError } from '../../lib/errors.ts';
import type { Change } from '../../model/change.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { Segments } from './segments.ts';
import type { SegmentsOptions } from './segments.ts';

export interface JournalOptions extends SegmentsOptions {
  readonly log: Logger;
  /** Lines not yet written beyond this many bytes are dropped. Default 16 MiB. */
  readonly maxPendingBytes?: number;
}

export interface HistoryQuery {
  /** Lines about this service, and about its sources as a whole. */
  readonly service: string;
  /** From this moment on, in milliseconds since the epoch. */
  readonly since?: number;
}

export interface JournalState {
  /** Changes that were never written: the disk failed, or did not keep up. */
  readonly dropped: number;
  /** Why the last write failed; '' after a good one. */
  readonly problem: string;
}

export interface Journal {
  /** Returns at once. */
  append(changes: readonly Change[]): void;
  /** Oldest first, all that was appended before the call included. */
  read(query: HistoryQuery): Promise<readonly Change[]>;
  readonly state: JournalState;
  /** Writes what is pending and closes the file. */
  close(): Promise<void>;
}

export function openJournal(options: JournalOptions): Journal {
  return new DiskJournal(options);
}

class DiskJournal implements Journal {
  readonly #segments: Segments;
  readonly #log: Logger;
  readonly #maxPendingBytes: number;
  #pending: string[] = [];
  #pendingBytes = 0;
  /** The moment of the last of them. */
  #newest = 0;
  #writing: Promise<void> | undefined;
  #dropped = 0;
  /** Of those dropped, the ones that no line on disk tells of yet. */
  #gap = NO_GAP;
  #problem = '';

  constructor(options: JournalOptions) {
    this.#segments = new Segments(options);
    this.#log = options.log;
    this.#maxPendingBytes = options.maxPendingBytes ?? 16 * 1024 * 1024;
  }

  get state(): JournalState {
    return { dropped: this.#dropped, problem: this.#problem };
  }

  append(changes: readonly Change[]): void {
    for (const change of changes) {
      if (this.#pendingBytes > this.#maxPendingBytes) {
        this.#dropped += 1;
        this.#miss(1, change.at);
        continue;
      }
      const line = `${JSON.stringify(change)}\n`;
      this.#pending.push(line);
      this.#pendingBytes += line.length;
      this.#newest = change.at;
    }
    if (this.#pending.length > 0) this.#writing ??= this.#write();
  }

  async read({ service, since = 0 }: HistoryQuery): Promise<readonly Change[]> {
    await this.#writing;
    // Parsing is the price of reading: lines about other services are told by their text.
    const marks = [`"service":${JSON.stringify(service)}`, '"service":""'];
    const changes: Change[] = [];
    for await (const line of this.#segments.lines()) {
      if (!marks.some((mark) => line.includes(mark))) continue;
      const change = parse(line);
      if (change && change.at >= since && (change.service === service || change.service === '')) {
        changes.push(change);
      }
    }
    if (this.#gap.lines > 0 && this.#gap.until >= since) changes.push(gapChange(this.#gap));
    return changes;
  }

  async close(): Promise<void> {
    await this.#writing;
    await this.#segments.close();
  }

  /** Until nothing is pending; whatever was appended meanwhile goes with the next round. */
  async #write(): Promise<void> {
    // Let what changes in one go be written in one go.
    await Promise.resolve();
    while (this.#pending.length > 0) {
      const lines = this.#pending;
      const newest = this.#newest;
      const gap = this.#gap;
      this.#pending = [];
      this.#pendingBytes = 0;
      this.#gap = NO_GAP;
      const [before, after] = gap.until < newest ? [gapLine(gap), ''] : ['', gapLine(gap)];
      await this.#segments.append(`${before}${lines.join('')}${after}`).then(
        () => this.#wrote(''),
        (thrown: unknown) => {
          this.#dropped += lines.length;
          this.#miss(lines.length, newest);
          this.#miss(gap.lines, gap.until);
          this.#wrote(toError(thrown).message);
        },
      );
    }
    this.#writing = undefined;
  }

  #miss(lines: number, until: number): void {
    this.#gap = { lines: this.#gap.lines + lines, until: Math.max(this.#gap.until, until) };
  }

  #wrote(problem: string): void {
    if (problem === this.#problem) return;
    this.#problem = problem;
    if (problem === '') this.#log.info({ dropped: this.#dropped }, 'the journal is written again');
    else this.#log.warn({ cause: problem }, 'the journal cannot be written: history has a gap');
  }
}

interface Gap {
  readonly lines: number;
  /** The moment of the last one that is missing. */
  readonly until: number;
}

const NO_GAP: Gap = { lines: 0, until: 0 };

/** Says, in the place of what is missing, that it is. */
function gapChange({ lines, until }: Gap): Change {
  const note = `${lines} lines are missing up to here: the disk did not take them`;
  return { at: until, source: '', service: '', note, cause: { kind: 'journal', detail: 'gap' } };
}

const gapLine = (gap: Gap): string => (gap.lines === 0 ? '' : `${JSON.stringify(gapChange(gap))}\n`);

/** undefined for a line that was torn. */
function parse(line: string): Change | undefined {
  try {
    return JSON.parse(line) as Change;
  } catch {
    return undefined;
  }
}

// The files of the journal: lines of JSON in segments of bounded size, of which the oldest go. A line that was
// torn by a crash is passed over when reading. Knows nothing of what the lines say.
import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, rm } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

export interface SegmentsOptions {
  readonly directory: string;
  /** A segment that has grown to this is closed. Default 8 MiB. */
  readonly segmentBytes?: number;
  /** The oldest segments beyond this many are removed. Default 8. */
  readonly segments?: number;
}

const NAME = /^journal-(\d{8})\.ndjson$/;

export class Segments {
  readonly #directory: string;
  readonly #segmentBytes: number;
  readonly #keep: number;
  #file: FileHandle | undefined;
  #size = 0;
  /** The last line may be half a line: the disk took no more. */
  #torn = false;

  constructor(options: SegmentsOptions) {
    this.#directory = options.directory;
    this.#segmentBytes = options.segmentBytes ?? 8 * 1024 * 1024;
    this.#keep = options.segments ?? 8;
  }

  /** Appends whole lines; one call at a time. Opens a new segment at the first call and when one is full. */
  async append(lines: string): Promise<void> {
    if (!this.#file || this.#size >= this.#segmentBytes) await this.#next();
    const bytes = Buffer.from(this.#torn ? `\n${lines}` : lines);
    this.#torn = true;
    await this.#file?.appendFile(bytes);
    this.#torn = false;
    this.#size += bytes.length;
  }

  /** All whole lines, oldest first. */
  async *lines(): AsyncGenerator<string> {
    for (const { path } of await this.#list()) {
      const stream = createReadStream(path, 'utf8');
      try {
        for await (const line of createInterface({ input: stream, crlfDelay: Infinity })) {
          if (line !== '') yield line;
        }
      } finally {
        stream.destroy();
      }
    }
  }

  async close(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.close();
  }

  /** Never appends to a segment of an earlier run, whose last line may be torn. */
  async #next(): Promise<void> {
    await this.close();
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    const known = await this.#list();
    const number = (known.at(-1)?.number ?? 0) + 1;
    const path = join(this.#directory, `journal-${String(number).padStart(8, '0')}.ndjson`);
    this.#file = await open(path, 'ax', 0o600);
    this.#size = 0;
    this.#torn = false;
    const surplus = known.slice(0, Math.max(0, known.length + 1 - this.#keep));
    await Promise.all(surplus.map(({ path: old }) => rm(old, { force: true })));
  }

  async #list(): Promise<{ readonly number: number; readonly path: string }[]> {
    const names = await readdir(this.#directory).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return [];
      throw error;
    });
    return names
      .flatMap((name) => {
        const number = NAME.exec(name)?.[1];
        return number === undefined ? [] : [{ number: Number(number), path: join(this.#directory, name) }];
      })
      .sort((a, b) => a.number - b.number);
  }
}

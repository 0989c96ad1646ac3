// The file in which overrides outlive the process: one JSON document. A file that cannot be used is set aside with
// one message and is as good as none; nothing here is ever fatal.
import { mkdir, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';
import { isMissing, setAside, writeAtomically } from '../../lib/atomic-file.ts';
import type { Clock } from '../../lib/clock.ts';
import { describeError, toError } from '../../lib/errors.ts';
import type { PlacedOverride } from '../../model/rules.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { OVERRIDES_BAD } from './errors.ts';

const FORMAT = 'isthmus-overrides';
/** Raised when an older Isthmus could not read the file. */
const VERSION = 1;

const documentSchema = z.object({
  format: z.literal(FORMAT),
  version: z.int().max(VERSION, 'it was written by a newer Isthmus'),
  writtenAt: z.number(),
  overrides: z.array(
    z.object({
      service: z.string().min(1),
      key: z.string().min(1),
      // What a date can say (ECMA-262, 21.4.1.1).
      since: z.int().min(0).max(8.64e15),
      override: z.object({
        drain: z.literal(true).exactOptional(),
        weight: z.int().min(0).exactOptional(),
        labels: z.record(z.string(), z.string()).exactOptional(),
        until: z.int().min(0).max(8.64e15),
        reason: z.string(),
        by: z.string(),
      }),
    }),
  ),
});

export interface OverrideFile {
  /** Milliseconds since the epoch, as all times in it: by the wall clock at that moment. */
  readonly writtenAt: number;
  readonly overrides: readonly PlacedOverride[];
}

/** undefined: there is none, or none that can be used. */
export async function readOverrides(
  file: string,
  { clock, log }: { readonly clock: Clock; readonly log: Logger },
): Promise<OverrideFile | undefined> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (thrown) {
    if (!isMissing(thrown)) log.error({ cause: describeError(thrown) }, 'the overrides cannot be read');
    return undefined;
  }
  try {
    return documentSchema.parse(JSON.parse(text));
  } catch (thrown) {
    const error = OVERRIDES_BAD(file, faultOf(thrown));
    const aside = await setAside(file, clock.now()).catch(toError);
    const kept = aside instanceof Error ? `it cannot be renamed: ${aside.message}` : aside;
    log.error({ code: error.code, cause: error.message, hint: error.hint, kept }, 'overrides are lost');
    return undefined;
  }
}

/** @throws what the file system throws; the file is as it was then. */
export async function writeOverrides(file: string, content: OverrideFile): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  const document = { format: FORMAT, version: VERSION, ...content };
  await writeAtomically(file, (handle) => handle.writeFile(`${JSON.stringify(document)}\n`));
}

function faultOf(thrown: unknown): string {
  if (!(thrown instanceof z.ZodError)) return `it is no JSON (${describeError(thrown)})`;
  const [first] = thrown.issues;
  return `${first?.path.join('.') ?? ''}: ${first?.message ?? ''}`.replace(/^: /, '');
}

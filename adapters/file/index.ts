// Files as a source: Prometheus target groups or Kubernetes manifests, reloaded when they change. A bad
// file makes the source stale with the place of the fault and takes nothing back, neither of that file nor
// of the others. Never writes.
import { watch as watchDirectory } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import type { FileSource } from '../../config/schema.ts';
import { childController } from '../../lib/abort.ts';
import { sleep } from '../../lib/clock.ts';
import { coalesce } from '../../lib/coalesce.ts';
import { describeError } from '../../lib/errors.ts';
import type { Attempt } from '../../lib/supervisor.ts';
import type { Discoverer, DiscoveryUpdate } from '../../model/discovery.ts';
import type { EndpointGroup } from '../../model/endpoint.ts';
import { changesBetween } from '../diff.ts';
import { serviceFilter } from '../filter.ts';
import { supervisedSource } from '../source.ts';
import type { SourceDeps, SourceTimings } from '../source.ts';
import { groupsFromFileSd } from './file-sd.ts';
import type { SourceText } from './file-sd.ts';
import { groupsFromManifests } from './manifests.ts';
import { FILE_UNREADABLE, fingerprint, matchPaths, unreadable, watchedDirectories } from './paths.ts';

export interface FileTimings extends SourceTimings {
  /** How often files are looked at, beside the operating system's own notices. Default 1,000 ms. */
  readonly pollMs?: number;
  /** Quiet time after a notice, and pause before a file that looks torn is read again. Default 50 ms. */
  readonly quietMs?: number;
}

interface Context {
  readonly config: FileSource;
  readonly deps: SourceDeps;
  readonly pollMs: number;
  readonly quietMs: number;
}

export function createFileSource(
  config: FileSource,
  deps: SourceDeps,
  timings: FileTimings = {},
): Discoverer {
  const { pollMs = 1_000, quietMs = 50, ...supervised } = timings;
  const context: Context = { config, deps, pollMs, quietMs };
  return supervisedSource({
    ...deps,
    source: config.name,
    kind: config.kind,
    // Looking again at a bad file costs little: never wait longer than for a good one.
    timings: { backoffMs: Math.min(500, pollMs), maxBackoffMs: pollMs, ...supervised },
    open: () => attempt(context),
  });
}

function attempt(context: Context): Attempt<DiscoveryUpdate> {
  return {
    watch: (emit, signal) => watchFiles(context, emit, signal),
    // A network file system can hang; asking for the files' attributes finds out.
    probe: async () => {
      await look(context);
    },
    close: () => undefined,
  };
}

async function watchFiles(
  context: Context,
  emit: (update: DiscoveryUpdate) => void,
  signal: AbortSignal,
): Promise<void> {
  let state = await loadWhole(context, signal);
  emit({ type: 'sync', groups: state.groups });
  const notices = listenForNotices(context, state.files);
  try {
    for (;;) {
      await notices.next(signal);
      if ((await look(context)).mark === state.mark) continue;
      const next = await loadWhole(context, signal);
      for (const update of changesBetween(state.groups, next.groups)) emit(update);
      state = next;
    }
  } finally {
    notices.close();
  }
}

interface Loaded {
  readonly files: readonly string[];
  readonly mark: string;
  readonly groups: readonly EndpointGroup[];
}

async function look({ config }: Context) {
  const files = await matchPaths(config.path);
  return { files, mark: await fingerprint(files) };
}

/** Looks at files that are never the same twice. */
const MAX_LOOKS = 20;

/** A file that is just being written may look torn: only the third bad look at the same content counts. */
async function loadWhole(context: Context, signal: AbortSignal): Promise<Loaded> {
  let bad = 0;
  let badMark: string | undefined;
  for (let looks = 1; ; looks += 1) {
    try {
      return await load(context);
    } catch (thrown) {
      const { mark } = await look(context).catch(() => ({ mark: '' }));
      bad = mark === badMark ? bad + 1 : 1;
      badMark = mark;
      if (bad === 3 || looks === MAX_LOOKS) throw thrown;
      await sleep(context.quietMs, signal, context.deps.clock);
    }
  }
}

async function load(context: Context): Promise<Loaded> {
  const { config } = context;
  const { files, mark } = await look(context);
  const texts: SourceText[] = await Promise.all(
    files.map(async (file) => {
      const text = await readText(file).catch((thrown: unknown) => {
        throw unreadable(file, thrown);
      });
      return { file, text };
    }),
  );
  if ((await look(context)).mark !== mark) throw FILE_UNREADABLE(config.path, 'changed while it was read');
  const parse = config.format === 'kubernetes' ? groupsFromManifests : groupsFromFileSd;
  const included = serviceFilter(config.include.services);
  return { files, mark, groups: parse(texts, config).filter((group) => included(group.service)) };
}

/** Bytes of one file: a hundred times what a large catalogue takes. */
const MAX_BYTES = 64_000_000;

async function readText(file: string): Promise<string> {
  if ((await stat(file)).size > MAX_BYTES) throw new Error(`larger than ${MAX_BYTES / 1e6} MB`);
  return readFile(file, 'utf8');
}

/**
 * `next()` resolves when a directory reports a change (after some quiet) or when the next poll is due:
 * notices are quick but miss things (swapped links, network file systems), polls are slow and sure.
 */
function listenForNotices({ config, deps, pollMs, quietMs }: Context, files: readonly string[]) {
  let wake: () => void = () => undefined;
  // A notice while the files are being read must not get lost.
  let rung = false;
  const { clock, log } = deps;
  const ring = () => {
    rung = true;
    wake();
  };
  const bell = coalesce(ring, { quietMs, maxMs: 10 * quietMs, clock });
  const watchers = watchedDirectories(config.path, files).flatMap((directory) => {
    const lost = (thrown: unknown) => log.debug({ directory, cause: describeError(thrown) }, 'polling only');
    try {
      return [watchDirectory(directory, () => bell.trigger()).on('error', lost)];
    } catch (thrown) {
      lost(thrown);
      return [];
    }
  });
  return {
    async next(signal: AbortSignal): Promise<void> {
      const { controller, release } = childController(signal);
      wake = () => controller.abort();
      if (!rung) await sleep(pollMs, controller.signal, clock).catch(() => undefined);
      rung = false;
      release();
      signal.throwIfAborted();
    },
    close() {
      bell.cancel();
      for (const watcher of watchers) watcher.close();
    },
  };
}

// The panel below the story on a terminal: who answers, what failed, how far the migration is, which registry is dark.
// Redrawn in place; asks the admin API like anybody.
import type { MigrationJson } from '../../admin/types-migration.ts';
import type { SourceJson } from '../../admin/types.ts';
import { sleep } from '../../lib/clock.ts';
import type { Clock } from '../../lib/clock.ts';
import { adminClient } from '../client.ts';
import { percent } from '../table.ts';
import type { Pen } from '../paint.ts';
import type { Screen } from './screen.ts';
import { countsOf, summary, tallyBlock } from './tally.ts';
import type { World } from './world.ts';

export interface PanelOptions {
  readonly world: Pick<World, 'admin' | 'tally'>;
  readonly screen: Screen;
  readonly pen: Pen;
  readonly clock: Clock;
  readonly seconds: () => number;
}

export interface Panel {
  /** Until `signal` aborts. Never rejects. */
  run(signal: AbortSignal): Promise<void>;
}

const REDRAW_MS = 500;
/** Shares over the last few seconds: long enough to be steady, short enough to show a step. */
const LOOKS = 8;

export function createPanel({ world, screen, pen, clock, seconds }: PanelOptions): Panel {
  const { tally, admin } = world;
  const client = adminClient(admin);
  return {
    async run(signal) {
      const history = [countsOf(tally)];
      while (screen.live && !signal.aborted) {
        await sleep(REDRAW_MS, signal, clock).catch(() => undefined);
        const [migrations, sources] = await Promise.all([
          client.list<MigrationJson>('/api/v1/migrations').catch(() => []),
          client.list<SourceJson>('/api/v1/sources').catch(() => []),
        ]);
        if (signal.aborted) return;
        screen.draw([
          pen('grey', '─'.repeat(60)),
          ` ${summary(tally, seconds(), pen)}`,
          ...tallyBlock(tally, history[0] ?? new Map(), pen),
          ...stateLines(migrations, sources, pen),
        ]);
        history.push(countsOf(tally));
        if (history.length > LOOKS) history.shift();
      }
    },
  };
}

/** One line for each migration, one for all registries. Pure. */
export function stateLines(
  migrations: readonly Pick<MigrationJson, 'service' | 'phase' | 'share' | 'measured'>[],
  sources: readonly Pick<SourceJson, 'name' | 'kind' | 'state'>[],
  pen: Pen,
): readonly string[] {
  const registries = sources
    .filter(({ kind }) => kind !== 'sidecar')
    .map(({ name, state }) => `${name} ${pen(state === 'live' ? 'green' : 'red', state)}`);
  return [
    ...migrations.map(({ service, phase, share, measured }) => {
      const seen = measured?.share ?? undefined;
      return `  ${service}: ${phase}, ${percent(share)} to pods${seen === undefined ? '' : `, measured ${percent(seen)}`}`;
    }),
    ...(registries.length === 0 ? [] : [`  registries: ${registries.join(', ')}`]),
  ];
}

// `isthmus migrate status|pause|resume|approve|rollback|abort`: how far migrations are, and what an operator says to
// one. `status -w` follows one to its end and says by its exit code how that was.
import type { MigrationJson } from '../../admin/types-migration.ts';
import type { MigrationVerb } from '../../model/migration-state.ts';
import { adminClient } from '../client.ts';
import { EXIT } from '../exit.ts';
import { migrationLine, migrationText, migrationsView } from '../migration-view.ts';
import { tokenFrom, whoami } from '../operator.ts';
import type { OperatorFlags } from '../operator.ts';
import { printData, printItems, write } from '../output.ts';
import { paint, wantsColour } from '../paint.ts';
import type { GetOptions } from './get.ts';

export interface StatusFlags extends GetOptions {
  readonly watch?: boolean;
}

export interface WordFlags extends OperatorFlags {
  readonly reason?: string;
}

const pathOf = (service: string): string => `/api/v1/migrations/${encodeURIComponent(service)}`;

export async function status(service: string | undefined, flags: StatusFlags): Promise<void> {
  const { server, output, watch = false } = flags;
  const client = adminClient(server);
  if (service === undefined) {
    return printItems(await client.list<MigrationJson>('/api/v1/migrations'), migrationsView(), output);
  }
  const found = await client.one<MigrationJson>(pathOf(service));
  if (watch) return follow(service, flags);
  if (output === 'json' || output === 'yaml') return printData(found, output);
  write(migrationText(found, paint(wantsColour(process.stdout, process.env))));
}

/** What an operator says to one that is under way. */
export async function say(verb: MigrationVerb, service: string, flags: WordFlags): Promise<void> {
  const token = await tokenFrom(flags);
  const body = { by: whoami(), reason: flags.reason ?? '' };
  const after = await adminClient(flags.server).send<MigrationJson>(
    'POST',
    `${pathOf(service)}/${verb}`,
    body,
    token,
  );
  write(`${migrationLine(after)}\n`);
}

const WATCH_MS = 500;
/** Nothing more happens by itself. */
const OVER = ['completed', 'retired', 'rolledBack', 'aborted', 'paused', 'awaitingApproval'];
const GOOD = ['completed', 'retired', 'awaitingApproval'];

/** A line for each change, until nothing more happens by itself; exit code 1 when that is no good end. */
async function follow(service: string, { server }: StatusFlags): Promise<void> {
  const client = adminClient(server);
  let last = '';
  for (;;) {
    const now = await client.one<MigrationJson>(pathOf(service));
    const { phase, step, share, reason } = now;
    const news = JSON.stringify({ phase, step, share, reason });
    if (news !== last) write(`${now.since} ${migrationLine(now)}\n`);
    last = news;
    if (OVER.includes(phase) && !now.waitsFor.startsWith('its cool-down')) {
      if (!GOOD.includes(phase)) process.exitCode = EXIT.failure;
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, WATCH_MS));
  }
}

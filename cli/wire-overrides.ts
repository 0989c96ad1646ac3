// Joins the book of overrides to the aggregator, and to the token that lets the admin API write in it.
import { join } from 'node:path';
import { ensureToken, writeGuard } from '../admin/token.ts';
import type { WriteGuard } from '../admin/token.ts';
import type { Aggregator } from '../aggregator/aggregator.ts';
import { OverrideBook } from '../aggregator/overrides/book.ts';
import type { Config } from '../config/schema.ts';
import type { Clock } from '../lib/clock.ts';
import type { Logger } from '../telemetry/logger.ts';

export async function openOverrides(
  { dataDir, admin }: Pick<Config, 'dataDir' | 'admin'>,
  aggregator: Aggregator,
  { clock, log }: { readonly clock: Clock; readonly log: Logger },
): Promise<{ readonly overrides: OverrideBook; readonly mayWrite: WriteGuard }> {
  const overrides = await OverrideBook.open({
    file: dataDir === '' ? '' : join(dataDir, 'overrides.json'),
    clock,
    log,
    apply: (service, of) => aggregator.setOverrides(service, of),
    onChange(service, note, cause, change) {
      aggregator.note(service, note, cause, change);
      log.info({ service, cause }, note);
    },
  });
  if (dataDir !== '' && admin.tokenFile === '') await ensureToken(join(dataDir, TOKEN), log);
  const tokenFile = admin.tokenFile === '' && dataDir !== '' ? join(dataDir, TOKEN) : admin.tokenFile;
  return { overrides, mayWrite: writeGuard(tokenFile) };
}

const TOKEN = 'admin-token';

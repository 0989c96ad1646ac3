// `isthmus history SERVICE [--since 10m] [--at TIME]`: what happened to a service and why, or what it was like.
import type { ChangeJson, PastEndpointJson } from '../../admin/types.ts';
import { parseDuration } from '../../lib/duration.ts';
import { adminClient } from '../client.ts';
import { changesView, pastView } from '../history-view.ts';
import { printItems } from '../output.ts';
import type { Format } from '../output.ts';
import { usage } from '../usage.ts';

export interface HistoryOptions {
  readonly server: string;
  readonly output: Format;
  readonly since?: string;
  readonly at?: string;
}

export async function history(service: string, options: HistoryOptions): Promise<void> {
  const { since, at, server, output } = options;
  if (since !== undefined && at !== undefined) throw usage('--since and --at: only one of them');
  const path = `/api/v1/services/${encodeURIComponent(service)}/history`;
  const client = adminClient(server);
  if (at !== undefined) {
    const time = new Date(momentFlag('--at', at)).toISOString();
    return printItems(await client.list<PastEndpointJson>(`${path}?at=${time}`), pastView(), output);
  }
  const query = since === undefined ? '' : `?since=${new Date(momentFlag('--since', since)).toISOString()}`;
  return printItems(await client.list<ChangeJson>(`${path}${query}`), changesView(), output);
}

/** `10m` is ten minutes ago; else a time such as 2026-01-02T03:04:05Z. Milliseconds since the epoch. */
function momentFlag(flag: string, text: string): number {
  const ago = parseDuration(text);
  if (ago !== undefined) return Date.now() - ago;
  const time = Date.parse(text);
  if (!Number.isNaN(time)) return time;
  throw usage(
    `${flag}: expected a duration such as 10m or a time such as 2026-01-02T03:04:05Z, got "${text}"`,
  );
}

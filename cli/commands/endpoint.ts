// `isthmus endpoint drain|undrain|set SERVICE ADDRESS`: what an operator changes by hand, for a time.
import { readFile } from 'node:fs/promises';
import { hostname, userInfo } from 'node:os';
import { overrideDuration } from '../../admin/override-body.ts';
import type { OverrideJson, OverrideRemovedJson, OverrideSetJson } from '../../admin/types.ts';
import { describeError } from '../../lib/errors.ts';
import { overrideText } from '../../model/rules.ts';
import { adminClient } from '../client.ts';
import { write } from '../output.ts';
import { age } from '../table.ts';
import { usage } from '../usage.ts';
import { findTargets } from './endpoint-target.ts';
import type { EndpointTarget } from './endpoint-target.ts';

export interface EndpointFlags {
  readonly server: string;
  readonly tokenFile?: string;
}

export interface ChangeFlags extends EndpointFlags {
  readonly for?: string;
  readonly reason?: string;
}

interface Settings {
  readonly drain?: true;
  readonly weight?: number;
  readonly labels?: Readonly<Record<string, string>>;
}

export async function drain(service: string, address: string, flags: ChangeFlags): Promise<void> {
  await change(service, address, { drain: true }, flags);
}

/** @param texts `weight=N` and `label.NAME=VALUE`. */
export async function set(
  service: string,
  address: string,
  texts: readonly string[],
  flags: ChangeFlags,
): Promise<void> {
  await change(service, address, settingsFrom(texts), flags);
}

/** Takes everything back that was set by hand. */
export async function undrain(service: string, address: string, flags: EndpointFlags): Promise<void> {
  const client = adminClient(flags.server);
  const overrides = await client.list<OverrideJson>('/api/v1/overrides');
  const targets = await findTargets(client, service, address, overrides);
  const token = await tokenFrom(flags);
  for (const target of targets) {
    const answer = await client.send<OverrideRemovedJson>('DELETE', pathOf(target), { by: whoami() }, token);
    const was = answer.removed ? ` (was ${textOf(answer.removed)})` : ' (nothing was set)';
    write(`${answer.service} ${answer.address}: as its sources say${was}\n`);
    tell(answer.notes);
  }
}

/** What was set before and is not named now stays, with the new end. */
async function change(
  service: string,
  address: string,
  settings: Settings,
  flags: ChangeFlags,
): Promise<void> {
  const lasts = flags.for ?? '1h';
  if (!overrideDuration.safeParse(lasts).success) {
    throw usage(`--for: expected a duration from 1s to 30d such as 10m, got "${lasts}"`);
  }
  const client = adminClient(flags.server);
  const overrides = await client.list<OverrideJson>('/api/v1/overrides');
  const targets = await findTargets(client, service, address, overrides);
  const token = await tokenFrom(flags);
  for (const target of targets) {
    const before = overrides.find((o) => o.service === target.service && o.address === target.key);
    const labels = { ...before?.labels, ...settings.labels };
    const weight = settings.weight ?? before?.weight ?? undefined;
    const body = {
      ...((settings.drain ?? before?.drain) ? { drain: true } : {}),
      ...(weight === undefined ? {} : { weight }),
      ...(Object.keys(labels).length === 0 ? {} : { labels }),
      for: lasts,
      reason: flags.reason ?? '',
      by: whoami(),
    };
    const answer = await client.send<OverrideSetJson>('PUT', pathOf(target), body, token);
    const why = answer.reason === '' ? '' : `: ${answer.reason}`;
    const until = `until ${answer.until} (${age(answer.remainingSeconds)})`;
    write(`${answer.service} ${answer.address}: ${textOf(answer)} ${until}${why}\n`);
    tell(answer.notes);
  }
}

function settingsFrom(texts: readonly string[]): Settings {
  const labels: Record<string, string> = {};
  let weight: number | undefined;
  for (const text of texts) {
    const [, name = '', value = ''] = /^([^=]+)=(.*)$/s.exec(text) ?? [];
    if (name === 'weight' && /^\d{1,7}$/.test(value)) weight = Number(value);
    else if (/^label\../.test(name)) labels[name.slice('label.'.length)] = value;
    else throw usage(`expected weight=NUMBER or label.NAME=VALUE, got "${text}"`);
  }
  return {
    ...(weight === undefined ? {} : { weight }),
    ...(Object.keys(labels).length === 0 ? {} : { labels }),
  };
}

/** Where the token is, by itself: the folder that `serve` makes beside its config. */
const HERE = 'isthmus-data/admin-token';

/** undefined when there is none: the server says what it wants then. */
async function tokenFrom({ tokenFile }: EndpointFlags): Promise<string | undefined> {
  const variable = process.env['ISTHMUS_TOKEN'] ?? '';
  if (tokenFile === undefined && variable !== '') return variable.trim();
  try {
    return (await readFile(tokenFile ?? HERE, 'utf8')).trim();
  } catch (thrown) {
    if (tokenFile === undefined) return undefined;
    throw usage(`--token-file: ${describeError(thrown)}`);
  }
}

function whoami(): string {
  return `${userName()}@${hostname()}`;
}

/** A user without an entry in the machine's list of users has no name. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return process.env['USER'] ?? 'unknown';
  }
}

const textOf = ({ drain: drained, weight, labels }: OverrideJson): string =>
  overrideText({ ...(drained ? { drain: true } : {}), ...(weight === null ? {} : { weight }), labels });

const pathOf = ({ service, key }: EndpointTarget): string =>
  `/api/v1/services/${encodeURIComponent(service)}/endpoints/${encodeURIComponent(key)}/override`;

function tell(notes: readonly string[]): void {
  for (const note of notes) process.stderr.write(`note: ${note}\n`);
}

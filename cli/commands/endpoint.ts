// `isthmus endpoint drain|undrain|set SERVICE ADDRESS`: what an operator changes by hand, for a time.
import { overrideDuration } from '../../admin/override-body.ts';
import type { OverrideJson, OverrideRemovedJson, OverrideSetJson } from '../../admin/types.ts';
import { IsthmusError } from '../../lib/errors.ts';
import { overrideText } from '../../model/rules.ts';
import { adminClient } from '../client.ts';
import type { AdminClient } from '../client.ts';
import { tokenFrom, whoami } from '../operator.ts';
import type { OperatorFlags } from '../operator.ts';
import { write } from '../output.ts';
import { age } from '../table.ts';
import { usage } from '../usage.ts';
import { findTargets } from './endpoint-target.ts';
import type { EndpointTarget } from './endpoint-target.ts';

export type EndpointFlags = OperatorFlags;

export interface ChangeFlags extends OperatorFlags {
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
  const more = { for: lasts, reason: flags.reason ?? '', by: whoami() };
  for (const target of targets) {
    const answer = await merged(client, target, settings, more, token);
    const why = answer.reason === '' ? '' : `: ${answer.reason}`;
    const until = `until ${answer.until} (${age(answer.remainingSeconds)})`;
    write(`${answer.service} ${answer.address}: ${textOf(answer)} ${until}${why}\n`);
    tell(answer.notes);
  }
}

/** How often it is read again when somebody else is changing the same endpoint. */
const TRIES = 4;

/** Beside what is set there now; whoever changes it between reading and writing is read again. */
async function merged(
  client: AdminClient,
  target: EndpointTarget,
  settings: Settings,
  more: object,
  token: string | undefined,
): Promise<OverrideSetJson> {
  for (let tries = 1; ; tries += 1) {
    const overrides = await client.list<OverrideJson>('/api/v1/overrides');
    const before = overrides.find((o) => o.service === target.service && o.address === target.key);
    const labels = { ...before?.labels, ...settings.labels };
    const weight = settings.weight ?? before?.weight ?? undefined;
    const body = {
      ...((settings.drain ?? before?.drain) ? { drain: true } : {}),
      ...(weight === undefined ? {} : { weight }),
      ...(Object.keys(labels).length === 0 ? {} : { labels }),
      ...more,
    };
    try {
      return await client.send<OverrideSetJson>('PUT', pathOf(target), body, token, before?.revision ?? null);
    } catch (thrown) {
      const isBeaten = thrown instanceof IsthmusError && thrown.code === 'ISTHMUS_REVISION_CONFLICT';
      if (!isBeaten || tries === TRIES) throw thrown;
    }
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

const textOf = ({ drain: drained, weight, labels }: OverrideJson): string =>
  overrideText({ ...(drained ? { drain: true } : {}), ...(weight === null ? {} : { weight }), labels });

const pathOf = ({ service, key }: EndpointTarget): string =>
  `/api/v1/services/${encodeURIComponent(service)}/endpoints/${encodeURIComponent(key)}/override`;

function tell(notes: readonly string[]): void {
  for (const note of notes) process.stderr.write(`note: ${note}\n`);
}

// `isthmus migrate start SERVICE --from SOURCE --to SOURCE`: writes the Migration for who has no file of it. The same
// could be applied with `isthmus apply`.
import type { MigrationJson } from '../../admin/types-migration.ts';
import type { ResourceAppliedJson, ServiceJson } from '../../admin/types.ts';
import { parseDuration } from '../../lib/duration.ts';
import { API_VERSION } from '../../config/metadata.ts';
import { clusterOf, splitServiceName } from '../../model/names.ts';
import { adminClient } from '../client.ts';
import { tokenFrom, whoami } from '../operator.ts';
import type { OperatorFlags } from '../operator.ts';
import { write } from '../output.ts';
import { usage } from '../usage.ts';

export interface StartFlags extends OperatorFlags {
  readonly from: string;
  readonly to: string;
  readonly steps: string;
  readonly for: string;
  readonly mirror?: string;
  readonly minSuccess: string;
  readonly minRequests: string;
  readonly onFailure: string;
  readonly atOnce: string;
}

export async function start(service: string, flags: StartFlags): Promise<void> {
  if (service.includes('*')) return startAll(service, flags);
  return startOne(clusterOf(service), [], flags);
}

/** Each waits until the one that is so many before it is at its end: never more than that are under way. */
async function startAll(pattern: string, flags: StartFlags): Promise<void> {
  const atOnce = Math.floor(numberFlag('--at-once', flags.atOnce));
  if (atOnce < 1) throw usage('--at-once: expected 1 or more');
  const client = adminClient(flags.server);
  const [services, migrations] = await Promise.all([
    client.list<ServiceJson>('/api/v1/services'),
    client.list<MigrationJson>('/api/v1/migrations'),
  ]);
  const begun = new Set(migrations.map(({ service }) => service));
  const isMeant = matcherOf(pattern);
  const wanted = services
    .filter((each) => isMeant(each) && !begun.has(each.service))
    .filter(({ sources }) =>
      [flags.from, flags.to].every((side) => sources.some(({ name }) => name === side)),
    )
    .map(({ service }) => service);
  if (wanted.length === 0) {
    throw usage(
      `${pattern}: no service that ${flags.from} and ${flags.to} both have, and that does not move yet`,
    );
  }
  for (const [index, service] of wanted.entries()) {
    const before = wanted[index - atOnce];
    await startOne(service, before === undefined ? [] : [before], flags);
  }
}

/** `shop-*` is of a service's name, `*.shop` of all of it. */
function matcherOf(pattern: string): (service: ServiceJson) => boolean {
  const parts = pattern
    .toLowerCase()
    .split('*')
    .map((part) => part.replace(/[^a-z0-9]/g, '\\$&'));
  const regex = new RegExp(`^${parts.join('.*')}$`);
  return ({ service, name }) => regex.test(pattern.includes('.') ? service : name);
}

/** Refused when there is one of that name already: what is under way is not to be changed by a slip. */
async function startOne(service: string, after: readonly string[], flags: StartFlags): Promise<void> {
  const { name, namespace } = splitServiceName(service);
  const resource = resourceFrom(name, namespace, after, flags);
  const path = `/api/v1/resources/Migration/${encodeURIComponent(namespace)}/${encodeURIComponent(name)}`;
  const token = await tokenFrom(flags);
  const { notes } = await adminClient(flags.server).send<ResourceAppliedJson>(
    'PUT',
    `${path}?by=${encodeURIComponent(whoami())}`,
    resource,
    token,
    null,
  );
  const steps = resource.spec.steps.map(({ percent }) => `${percent} %`).join(', ');
  const then = after.length === 0 ? '' : `, after ${after.join()}`;
  write(`${name}.${namespace}: moves from ${flags.from} to ${flags.to} in steps of ${steps}${then}\n`);
  for (const note of notes) process.stderr.write(`note: ${note}\n`);
}

function resourceFrom(name: string, namespace: string, after: readonly string[], flags: StartFlags) {
  const stepMs = parseDuration(flags.for);
  if (stepMs === undefined) throw usage(`--for: expected a duration such as 5m, got "${flags.for}"`);
  const percents = flags.steps.split(',').map((text) => numberFlag('--steps', text));
  const last = percents.length - 1;
  return {
    apiVersion: API_VERSION,
    kind: 'Migration',
    metadata: { name, namespace },
    spec: {
      service: `${name}.${namespace}`,
      from: flags.from,
      to: flags.to,
      ...(flags.mirror === undefined
        ? {}
        : { mirror: { percent: numberFlag('--mirror', flags.mirror), for: flags.for } }),
      steps: percents.map((percent, index) => (index === last ? { percent } : { percent, for: flags.for })),
      gates: {
        successRate: {
          minPercent: numberFlag('--min-success', flags.minSuccess),
          minRequests: numberFlag('--min-requests', flags.minRequests),
        },
      },
      onFailure: flags.onFailure,
      ...(after.length > 0 && { after }),
    },
  };
}

function numberFlag(flag: string, text: string): number {
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (!(value > 0)) throw usage(`${flag}: expected a number above 0, got "${text}"`);
  return value;
}

// `isthmus migrate start SERVICE --from SOURCE --to SOURCE`: writes the Migration for who has no file of it. The same
// could be applied with `isthmus apply`.
import type { ResourceAppliedJson } from '../../admin/types.ts';
import { parseDuration } from '../../config/duration.ts';
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
}

/** Refused when there is one of that name already: what is under way is not to be changed by a slip. */
export async function start(service: string, flags: StartFlags): Promise<void> {
  const { name, namespace } = splitServiceName(clusterOf(service));
  const resource = resourceFrom(name, namespace, flags);
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
  write(`${name}.${namespace}: moves from ${flags.from} to ${flags.to} in steps of ${steps}\n`);
  for (const note of notes) process.stderr.write(`note: ${note}\n`);
}

function resourceFrom(name: string, namespace: string, flags: StartFlags) {
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
    },
  };
}

function numberFlag(flag: string, text: string): number {
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (!(value > 0)) throw usage(`${flag}: expected a number above 0, got "${text}"`);
  return value;
}

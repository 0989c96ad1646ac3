// `isthmus migrate plan SERVICE --from A --to B`: what stands in the way of a move, and what to do about it.
import type { ReadinessJson } from '../../admin/readiness.ts';
import { adminClient } from '../client.ts';
import { EXIT } from '../exit.ts';
import { printData, write } from '../output.ts';
import { paint, wantsColour } from '../paint.ts';
import { readinessText } from '../readiness-text.ts';
import type { GetOptions } from './get.ts';

export interface PlanFlags extends GetOptions {
  /** Default: those of its Migration. */
  readonly from?: string;
  readonly to?: string;
}

/** Exit code 1 when there is a blocker. */
export async function plan(service: string, { from, to, server, output }: PlanFlags): Promise<void> {
  const query = new URLSearchParams({ ...(from !== undefined && { from }), ...(to !== undefined && { to }) });
  const path = `/api/v1/services/${encodeURIComponent(service)}/readiness?${query.toString()}`;
  const told = await adminClient(server).one<ReadinessJson>(path);
  if (output === 'json' || output === 'yaml') await printData(told, output);
  else write(readinessText(told, paint(wantsColour(process.stdout, process.env)), output === 'wide'));
  if (!told.ready) process.exitCode = EXIT.failure;
}

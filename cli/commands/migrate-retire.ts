// `isthmus migrate retire SERVICE`: may the old side be switched off, and who is still there? Changes nothing without
// --confirm.
import type { RetirementJson } from '../../admin/retirement.ts';
import { parseDuration } from '../../lib/duration.ts';
import { adminClient } from '../client.ts';
import { EXIT } from '../exit.ts';
import { tokenFrom, whoami } from '../operator.ts';
import type { OperatorFlags } from '../operator.ts';
import { printData, write } from '../output.ts';
import type { Format } from '../output.ts';
import { paint, wantsColour } from '../paint.ts';
import { retirementText } from '../retirement-text.ts';
import { usage } from '../usage.ts';

export interface RetireFlags extends OperatorFlags {
  readonly after: string;
  readonly output: Format;
  readonly confirm?: boolean;
  readonly reason?: string;
}

/** Exit code 1 while somebody is there, or was not long enough ago. */
export async function retire(service: string, flags: RetireFlags): Promise<void> {
  const { after, output, server, confirm = false, reason = '' } = flags;
  if (!parseDuration(after)) throw usage(`--after: expected a duration such as 7d, got "${after}"`);
  const path = `/api/v1/services/${encodeURIComponent(service)}/retirement`;
  const client = adminClient(server);
  let told = await client.one<RetirementJson>(`${path}?after=${encodeURIComponent(after)}`);
  if (confirm && told.safe && told.phase !== 'retired') {
    const body = { after, by: whoami(), reason };
    told = await client.send<RetirementJson>('POST', path, body, await tokenFrom(flags));
  }
  if (output === 'json' || output === 'yaml') await printData(told, output);
  else {
    const pen = paint(wantsColour(process.stdout, process.env));
    write(retirementText(told, Date.now(), pen, output === 'wide'));
  }
  if (!told.safe) process.exitCode = EXIT.failure;
}

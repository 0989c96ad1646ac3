// `isthmus explain SERVICE [ADDRESS]`: why a service has what it has, and why an endpoint is in or out.
import type { AddressExplanationJson, ServiceExplanationJson } from '../../admin/types.ts';
import { adminClient } from '../client.ts';
import { addressText, serviceText } from '../explain-text.ts';
import { printData, write } from '../output.ts';
import { paint, wantsColour } from '../paint.ts';
import type { GetOptions } from './get.ts';

/** Exit code 1, and the closest name, for what nobody knows. */
export async function explain(
  service: string,
  address: string | undefined,
  { server, output }: GetOptions,
): Promise<void> {
  const client = adminClient(server);
  const path = `/api/v1/services/${encodeURIComponent(service)}/explain`;
  const pen = paint(wantsColour(process.stdout, process.env));
  const now = Date.now();
  if (address === undefined) {
    const told = await client.one<ServiceExplanationJson>(path);
    if (output === 'json' || output === 'yaml') return printData(told, output);
    return write(serviceText(told, now, pen));
  }
  const told = await client.one<AddressExplanationJson>(`${path}?address=${encodeURIComponent(address)}`);
  if (output === 'json' || output === 'yaml') return printData(told, output);
  write(addressText(told, now, pen));
}

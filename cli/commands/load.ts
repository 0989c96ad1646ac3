// `isthmus get load [SERVICE]`: what data planes report of their requests, by service, side and locality.
import type { LoadJson } from '../../admin/types.ts';
import { adminClient } from '../client.ts';
import { printItems } from '../output.ts';
import { loadView } from '../views.ts';
import type { GetOptions } from './get.ts';

export interface LoadOptions extends GetOptions {
  readonly window: string;
  readonly byNode?: boolean;
}

export async function load(service: string | undefined, options: LoadOptions): Promise<void> {
  const { server, window, byNode = false, output } = options;
  const query = new URLSearchParams({
    window,
    ...(service !== undefined && { service }),
    ...(byNode && { by: 'node' }),
  });
  const items = await adminClient(server).list<LoadJson>(`/api/v1/load?${query.toString()}`);
  return printItems(items, loadView(byNode), output);
}

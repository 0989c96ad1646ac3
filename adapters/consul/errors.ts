// What Consul's refusals and broken answers are called here, each with Consul's own words and what to do.
import type { IncomingMessage } from 'node:http';
import { defineError } from '../../lib/errors.ts';
import { plainWords } from '../plain-words.ts';

export const CONSUL_UNREACHABLE = defineError(
  'ISTHMUS_CONSUL_UNREACHABLE',
  (address: string, said: string) => `no answer from Consul at ${address}: ${said}`,
  { hint: 'Check `address` (http or https?), `tls` and the network; `consul members` asks the same agent.' },
);

export const CONSUL_ANSWER = defineError(
  'ISTHMUS_CONSUL_ANSWER',
  (question: string, what: string) => `Consul's answer to ${question}: ${what}`,
  { hint: 'Is the address that of a Consul HTTP API, and has the cluster a leader?' },
);
export const CONSUL_DENIED = defineError(
  'ISTHMUS_CONSUL_DENIED',
  (question: string, why: string) => `Consul denies ${question}: ${why}`,
  {
    hint: 'Check token or tokenFile of the source; the token needs service:read and node:read for the services to be read.',
  },
);
export const CONSUL_REFUSED = defineError(
  'ISTHMUS_CONSUL_REFUSED',
  (question: string, why: string) => `Consul does not take the question for ${question}: ${why}`,
  {
    hint: 'Check filter, namespace and partition of the source; the last two need Consul Enterprise.',
  },
);
export const CONSUL_DATACENTER = defineError(
  'ISTHMUS_CONSUL_DATACENTER',
  (datacenter: string) => `Consul knows no way to the datacenter "${datacenter}"`,
  { hint: '`consul catalog datacenters` lists those it knows; is the name right, and are its servers up?' },
);
export const CONSUL_BUSY = defineError(
  'ISTHMUS_CONSUL_BUSY',
  (question: string, tries: number) => `Consul put off ${question} ${tries} times (429 Too Many Requests)`,
  { hint: 'Lower maxWatches of the source, or raise Consul’s limits for this client.' },
);

export type NpmError = Error & { readonly response?: IncomingMessage & { readonly body?: unknown } };

/** Where the question went. */
export interface Asked {
  readonly address: string;
  readonly datacenter: string;
}

/** Says what was wrong with an answer, or with the way to it. */
export function explainAnswer(error: NpmError, what: string, { address, datacenter }: Asked): Error {
  const { response } = error;
  const status = response?.statusCode ?? 0;
  if (status === 0 || (status < 300 && !error.message.includes('decode'))) {
    return CONSUL_UNREACHABLE(new URL(address).origin, plainWords(error.message));
  }
  if (status < 300) return CONSUL_ANSWER.from(error, what, 'not JSON');
  const said = excerpt(response?.body);
  if (status === 401 || status === 403) return CONSUL_DENIED(what, said || `HTTP ${status}`);
  // A filter that names what is not there is a 500 of Consul's.
  if (status === 400 || /boolean expression/.test(said)) return CONSUL_REFUSED(what, said || 'HTTP 400');
  if (/no path to datacenter/i.test(said) && datacenter !== '') return CONSUL_DATACENTER(datacenter);
  return CONSUL_ANSWER(what, said === '' ? `HTTP ${status}` : `HTTP ${status}: ${said}`);
}

function excerpt(body: unknown): string {
  const text = Buffer.isBuffer(body) ? body.toString('utf8') : typeof body === 'string' ? body : '';
  return text.replace(/\s+/g, ' ').trim().slice(0, 200);
}

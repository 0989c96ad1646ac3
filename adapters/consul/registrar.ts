// Writes endpoints into a Consul agent for callers outside: each marked as ours, and alive only as long as it is
// written again, so that those of a control plane that died go away by themselves. Touches nothing without the mark,
// and gives way to whoever wrote with a higher fence.
import { Agent as HttpAgent, request as httpRequest } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { z } from 'zod';
import type { ConsulSource } from '../../config/schema.ts';
import { defineError, describeError } from '../../lib/errors.ts';
import { OWNER_LABEL } from '../../model/sidecars.ts';
import type { Written } from '../../model/sidecars.ts';
import { readAccess } from './access.ts';
import type { ConsulAccess } from './access.ts';

export const CONSUL_WRITE = defineError(
  'ISTHMUS_CONSUL_WRITE',
  (what: string, why: string) => `${what} failed: ${why}`,
  { hint: 'The token needs service:write; `address` has to be one agent, not a load balancer.' },
);

const FENCE = 'isthmus-fence';
/** Without a beat an entry is critical after the first, and gone after the second; Consul allows no less than 1m. */
const TTL = '30s';
const GONE_AFTER = '1m';
const ANSWER_MS = 5_000;
const MAX_BYTES = 16_000_000;

const agentServices = z.record(
  z.string(),
  z.object({
    Service: z.string(),
    Address: z.string().default(''),
    Port: z.number().default(0),
    Meta: z
      .record(z.string(), z.string())
      .nullish()
      .transform((meta) => meta ?? {}),
    Weights: z.object({ Passing: z.number() }).nullish(),
  }),
);
type Registered = z.infer<typeof agentServices>[string];

interface Body {
  readonly Name: string;
  readonly Address: string;
  readonly Port: number;
  readonly Meta: Readonly<Record<string, string>>;
  readonly Weights: { readonly Passing: number };
}

export interface RegistrarOptions {
  readonly config: Pick<ConsulSource, 'address' | 'namespace' | 'partition' | 'token' | 'tokenFile' | 'tls'>;
  /** The mark. */
  readonly owner: string;
  /** Default 30s. */
  readonly ttl?: string;
}

export class ConsulRegistrar {
  readonly #o: RegistrarOptions;
  readonly #agent: HttpAgent;
  readonly #access: ConsulAccess;
  /** 0: whatever the agent has plus one, with the next round. */
  #fence = 0;

  private constructor(options: RegistrarOptions, access: ConsulAccess) {
    this.#o = options;
    this.#access = access;
    const isSecure = options.config.address.toLowerCase().startsWith('https:');
    this.#agent = isSecure
      ? new HttpsAgent({ keepAlive: true, ...access.tls })
      : new HttpAgent({ keepAlive: true });
  }

  /** @throws ISTHMUS_CONSUL_FILE */
  static async open(options: RegistrarOptions): Promise<ConsulRegistrar> {
    return new ConsulRegistrar(options, await readAccess(options.config));
  }

  /** From now on it is this one that writes, whoever did before. */
  lead(): void {
    this.#fence = 0;
  }

  /**
   * Makes the agent have just these, each with a new beat. False when another one writes now.
   * @throws ISTHMUS_CONSUL_WRITE
   */
  async write(wanted: readonly Written[], signal: AbortSignal): Promise<boolean> {
    await this.#access.refresh();
    const own = await this.#own(signal);
    const highest = Math.max(0, ...Object.values(own).map(({ Meta }) => Number(Meta[FENCE]) || 0));
    if (this.#fence === 0) this.#fence = highest + 1;
    if (highest > this.#fence) return false;
    const ids = new Set<string>();
    for (const entry of wanted) {
      const id = idOf(this.#o.owner, entry);
      ids.add(id);
      const body = this.#bodyOf(id, entry);
      if (!isSame(own[id], body)) {
        await this.#put('service/register?replace-existing-checks=true', body, signal);
      }
      await this.#put(`check/update/service:${encodeURIComponent(id)}`, { Status: entry.status }, signal);
    }
    for (const id of Object.keys(own)) {
      if (!ids.has(id)) await this.#put(`service/deregister/${encodeURIComponent(id)}`, undefined, signal);
    }
    return true;
  }

  close(): void {
    this.#agent.destroy();
  }

  async #own(signal: AbortSignal): Promise<Readonly<Record<string, Registered>>> {
    const filter = encodeURIComponent(`Meta["${OWNER_LABEL}"] == "${this.#o.owner}"`);
    const text = await this.#ask('GET', `services?filter=${filter}`, undefined, signal);
    try {
      return agentServices.parse(JSON.parse(text));
    } catch (thrown) {
      throw CONSUL_WRITE.from(thrown, 'reading what was written', describeError(thrown));
    }
  }

  #bodyOf(id: string, { name, address, port, weight, labels, status }: Written) {
    return {
      ID: id,
      Name: name,
      Address: address,
      Port: port,
      Meta: { ...metaOf(labels), [OWNER_LABEL]: this.#o.owner, [FENCE]: String(this.#fence) },
      Weights: { Passing: weight, Warning: 1 },
      Check: { TTL: this.#o.ttl ?? TTL, Status: status, DeregisterCriticalServiceAfter: GONE_AFTER },
    };
  }

  async #put(path: string, body: object | undefined, signal: AbortSignal): Promise<void> {
    await this.#ask('PUT', path, body, signal);
  }

  #ask(method: string, path: string, body: object | undefined, signal: AbortSignal): Promise<string> {
    const { config } = this.#o;
    const url = new URL(`${config.address.replace(/\/+$/, '')}/v1/agent/${path}`);
    if (config.namespace !== '') url.searchParams.set('ns', config.namespace);
    if (config.partition !== '') url.searchParams.set('partition', config.partition);
    const headers = this.#access.token === '' ? {} : { 'x-consul-token': this.#access.token };
    const options = { method, agent: this.#agent, headers, timeout: ANSWER_MS, signal };
    const what = `${method} /v1/agent/${path.split('?')[0] ?? ''}`;
    return new Promise((resolve, reject) => {
      const fail = (thrown: unknown) => reject(CONSUL_WRITE.from(thrown, what, describeError(thrown)));
      const outgoing = (url.protocol === 'https:' ? httpsRequest : httpRequest)(url, options, (response) => {
        const chunks: Buffer[] = [];
        let bytes = 0;
        response.on('data', (chunk: Buffer) => {
          bytes += chunk.length;
          chunks.push(chunk);
          if (bytes > MAX_BYTES) response.destroy(new Error('the answer is too large'));
        });
        response.on('error', fail);
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString();
          if (response.statusCode === 200) resolve(text);
          else reject(CONSUL_WRITE(what, `HTTP ${response.statusCode ?? 0} ${text.slice(0, 200)}`.trim()));
        });
      });
      outgoing.on('timeout', () => outgoing.destroy(new Error(`silent for ${ANSWER_MS / 1_000} s`)));
      outgoing.on('error', fail);
      outgoing.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }
}

const idOf = (owner: string, { name, address, port }: Written): string =>
  `${owner}:${name}:${address}:${port}`;

/** Consul's names of metadata know letters, digits, - and _; it takes 64 of them. */
function metaOf(labels: Written['labels']): Record<string, string> {
  const usable = Object.entries(labels).filter(
    ([name, value]) => /^[A-Za-z0-9_-]{1,128}$/.test(name) && value.length <= 512,
  );
  return Object.fromEntries(usable.slice(0, 60));
}

function isSame(known: Registered | undefined, body: Body): boolean {
  if (!known || known.Service !== body.Name) return false;
  if (known.Address !== body.Address || known.Port !== body.Port) return false;
  const names = Object.keys(body.Meta);
  return (
    known.Weights?.Passing === body.Weights.Passing &&
    names.length === Object.keys(known.Meta).length &&
    names.every((name) => known.Meta[name] === body.Meta[name])
  );
}

// Writes endpoints into a Consul agent for callers outside: each marked as ours, and alive only as long as it is
// written again, so that those of a control plane that died go away by themselves. Touches nothing without the mark,
// and gives way to whoever wrote with a higher fence.
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { z } from 'zod';
import type { ConsulSource } from '../../config/schema.ts';
import type { Clock } from '../../lib/clock.ts';
import { defineError, describeError } from '../../lib/errors.ts';
import { OWNER_LABEL } from '../../model/sidecars.ts';
import type { Written } from '../../model/sidecars.ts';
import { WrongAnswer } from '../http-json.ts';
import { forAll, isRefused, refusal, say } from '../registrar-http.ts';
import type { Registrar } from '../registrar.ts';
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
/** What was beaten for later than that wants no beat because something else has changed. */
const FRESH_MS = 7_000;

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
  readonly clock: Clock;
}

export class ConsulRegistrar implements Registrar {
  readonly #o: RegistrarOptions;
  readonly #agent: HttpAgent;
  readonly #access: ConsulAccess;
  /** 0: whatever the agent has plus one, with the next round. */
  #fence = 0;
  /** By id: the last beat, monotonic milliseconds. */
  #beats = new Map<string, { readonly at: number; readonly status: Written['status'] }>();

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

  lead(): void {
    this.#fence = 0;
    this.#beats.clear();
  }

  async write(wanted: readonly Written[], signal: AbortSignal): Promise<boolean> {
    await this.#access.refresh();
    const own = await this.#own(signal);
    const highest = Math.max(0, ...Object.values(own).map(({ Meta }) => Number(Meta[FENCE]) || 0));
    if (this.#fence === 0) this.#fence = highest + 1;
    if (highest > this.#fence) return false;
    const entries = new Map(wanted.map((entry) => [idOf(this.#o.owner, entry), entry]));
    const left = Object.keys(own).filter((id) => !entries.has(id));
    for (const id of this.#beats.keys()) if (!entries.has(id)) this.#beats.delete(id);
    const steps = [
      ...[...entries].map(
        ([id, entry]) =>
          () =>
            this.#keep(id, entry, own[id], signal),
      ),
      ...left.map((id) => () => this.#put(`service/deregister/${encodeURIComponent(id)}`, undefined, signal)),
    ];
    const refused = await forAll(steps, 1, (step) => step());
    if (refused) throw refused;
    return true;
  }

  close(): void {
    this.#agent.destroy();
  }

  /** Registers what is not there just so, and beats for it. */
  async #keep(id: string, entry: Written, known: Registered | undefined, signal: AbortSignal): Promise<void> {
    const { clock } = this.#o;
    const body = this.#bodyOf(id, entry);
    const last = this.#beats.get(id);
    const isThere = isSame(known, body);
    if (isThere && last?.status === entry.status && clock.monotonic() - last.at < FRESH_MS) return;
    if (!known) await this.#assertFree(id, signal);
    const register = () => this.#put('service/register?replace-existing-checks=true', body, signal);
    const beat = () =>
      this.#put(`check/update/service:${encodeURIComponent(id)}`, { Status: entry.status }, signal);
    if (!isThere) await register();
    await beat().catch(async (thrown: unknown) => {
      // Somebody has taken the check away: without it the entry would outlive us.
      if (!isThere || !isRefused(thrown)) throw thrown;
      await register();
      await beat();
    });
    this.#beats.set(id, { at: clock.monotonic(), status: entry.status });
  }

  /** To register what is there would overwrite it. */
  async #assertFree(id: string, signal: AbortSignal): Promise<void> {
    const path = `service/${encodeURIComponent(id)}`;
    try {
      await this.#ask('GET', path, undefined, signal);
    } catch (thrown) {
      if (isRefused(thrown) && thrown.cause.status === 404) return;
      throw thrown;
    }
    const why = 'somebody else has registered it';
    throw CONSUL_WRITE.from(new WrongAnswer(200, why), `registering ${id}`, why);
  }

  async #own(signal: AbortSignal): Promise<Readonly<Record<string, Registered>>> {
    const filter = encodeURIComponent(`Meta["${OWNER_LABEL}"] == "${this.#o.owner}"`);
    const text = await this.#ask('GET', `services?filter=${filter}`, undefined, signal);
    try {
      const all = Object.entries(agentServices.parse(JSON.parse(text)));
      // Whatever stands before the agent may have lost the filter, and what is here is ours to remove.
      return Object.fromEntries(all.filter(([, { Meta }]) => Meta[OWNER_LABEL] === this.#o.owner));
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

  async #ask(
    method: 'GET' | 'PUT',
    path: string,
    body: object | undefined,
    signal: AbortSignal,
  ): Promise<string> {
    const { config } = this.#o;
    const url = new URL(`${config.address.replace(/\/+$/, '')}/v1/agent/${path}`);
    if (config.namespace !== '') url.searchParams.set('ns', config.namespace);
    if (config.partition !== '') url.searchParams.set('partition', config.partition);
    const headers = this.#access.token === '' ? {} : { 'x-consul-token': this.#access.token };
    const what = `${method} /v1/agent/${path.split('?')[0] ?? ''}`;
    const answer = await say({ method, url, headers, body, agent: this.#agent, signal }).catch((thrown) => {
      throw CONSUL_WRITE.from(thrown, what, describeError(thrown));
    });
    if (answer.status === 200) return answer.text;
    const refused = refusal(answer);
    throw CONSUL_WRITE.from(refused, what, refused.message);
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

// The questions we ask Consul, and what counts as an answer: the right shape, an index, and not the empty
// list of a token that sees nothing. It does not loop and it remembers nothing.
import type { IncomingMessage } from 'node:http';
import type { z } from 'zod';
import type { ConsulSource } from '../../config/schema.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Hold } from '../../lib/retry-after.ts';
import type { ConsulAccess } from './access.ts';
import { catalogAnswer, checksAnswer, datacentersAnswer, healthAnswer, leaderAnswer } from './answers.ts';
import type { ConsulEntry, ConsulStateCheck } from './answers.ts';
import { CONSUL_ANSWER, CONSUL_BUSY, CONSUL_DENIED } from './errors.ts';
import { createNpmConsul } from './npm.ts';
import type { NpmConfig, NpmConsulClass } from './npm.ts';
import { Asker } from './question.ts';
import type { Ask } from './question.ts';

export interface Answer<T> {
  /** X-Consul-Index: give it back to wait for the next change. */
  readonly index: string;
  readonly data: T;
}

/** Tags by service name, as Consul spells it. */
export type ConsulCatalog = Readonly<Record<string, readonly string[]>>;

export interface ConsulClient {
  /** All services the token may see. */
  services(ask: Ask): Promise<Answer<ConsulCatalog>>;
  health(service: string, ask: Ask): Promise<Answer<ConsulEntry[]>>;
  /** Only the index that health() would have: it moves with the service's instances, their checks and nodes. */
  index(service: string, ask: Ask): Promise<string>;
  /** Checks that do not pass, of all services and nodes: small, whatever the size of the catalog. */
  failing(ask: Ask): Promise<Answer<ConsulStateCheck[]>>;
  /** Names of all datacenters, this one and those joined over the WAN. */
  datacenters(ask: Pick<Ask, 'deadlineMs' | 'signal'>): Promise<string[]>;
  /** Rejects when the datacenter has no leader. Reads the token's file again first. */
  leader(ask: Pick<Ask, 'deadlineMs' | 'signal'>): Promise<void>;
  close(): void;
}

export type ClientConfig = NpmConfig & Pick<ConsulSource, 'filter' | 'tags' | 'nodeMeta'>;

export function createConsulClient(
  Consul: NpmConsulClass,
  config: ClientConfig,
  access: ConsulAccess,
  clock: Clock,
  hold?: Hold,
): ConsulClient {
  const npm = createNpmConsul(Consul, config, access);
  const asker = new Asker(access, clock, config, hold);
  const meta = Object.entries(config.nodeMeta).map(([key, value]) => `${key}:${value}`);
  const onNodes = meta.length === 0 ? {} : { 'node-meta': meta };
  const instances = {
    ...onNodes,
    ...(config.filter === '' ? {} : { filter: config.filter }),
    ...(config.tags.length === 0 ? {} : { tag: config.tags }),
  };
  const sure = config.consistency === 'default';
  const seesAll = meta.length === 0 && config.namespace === '' && config.partition === '';
  return {
    async services(ask) {
      const what = 'the catalog';
      const { response, data } = await asker.ask(
        what,
        (o) =>
          npm.catalog.service.list({
            ...o,
            ...onNodes,
            ...(sure && ask.consistent ? { consistent: true } : {}),
          }),
        ask,
      );
      const catalog = fit(catalogAnswer, data, what);
      const index = indexOf(response, what);
      denyIfHidden(response, Object.keys(catalog), what);
      // Consul's own service is in every catalog; without a token it does not tell that it hides something.
      if (seesAll && Object.keys(catalog).length === 0) throw CONSUL_DENIED(what, hidden(access.token));
      return { index, data: catalog };
    },
    async health(service, ask) {
      const what = `service ${service}`;
      const { response, data } = await asker.ask(
        what,
        (o) => npm.health.service({ ...o, ...instances, service }),
        ask,
      );
      const entries = fit(healthAnswer, data, what);
      denyIfHidden(response, entries, what);
      return { index: indexOf(response, what), data: entries };
    },
    async index(service, ask) {
      const what = `the index of service ${service}`;
      // The index is that of the service, whatever passes the filter; this one lets nothing pass.
      const filter = 'Service.ID == ""';
      const { response, data } = await asker.ask(
        what,
        (o) => npm.health.service({ ...o, filter, service }),
        ask,
      );
      fit(healthAnswer, data, what);
      return indexOf(response, what);
    },
    async failing(ask) {
      const what = 'the failing checks';
      const filter = 'Status != "passing"';
      const { response, data } = await asker.ask(
        what,
        (o) => npm.health.state({ ...o, ...onNodes, state: 'any', filter }),
        ask,
      );
      return { index: indexOf(response, what), data: fit(checksAnswer, data, what) };
    },
    async datacenters(ask) {
      const what = 'the datacenters';
      const now = { ...ask, index: '0', waitMs: 0 };
      const { data } = await asker.ask(what, (o) => npm.catalog.datacenters(o), now);
      return fit(datacentersAnswer, data, what);
    },
    async leader(ask) {
      await access.refresh();
      const now = { ...ask, index: '0', waitMs: 0 };
      try {
        const { data } = await asker.ask('the leader', (o) => npm.status.leader(o), now, 0);
        if (fit(leaderAnswer, data, 'the leader') === '') throw CONSUL_ANSWER('the leader', 'there is none');
      } catch (thrown) {
        // Busy is not dead; whether it is too busy, the questions themselves find out.
        if (!(thrown instanceof Error && 'code' in thrown && thrown.code === CONSUL_BUSY.code)) throw thrown;
      }
    },
    close: () => npm.destroy(),
  };
}

const hidden = (token: string): string =>
  token === '' ? 'nothing of it is shown without a token' : 'the token may see nothing of it';

function fit<S extends z.ZodType>(schema: S, data: unknown, what: string): z.output<S> {
  const parsed = schema.safeParse(data);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const at = issue && issue.path.length > 0 ? `${issue.path.map(String).join('.')}: ` : '';
  throw CONSUL_ANSWER(what, `${at}${issue?.message ?? 'wrong shape'}`);
}

/** A token without rights gets an empty list and status 200; that must not pass for "no services". */
function denyIfHidden(response: IncomingMessage, list: readonly unknown[], what: string): void {
  const filtered = response.headers['x-consul-results-filtered-by-acls'] === 'true';
  if (filtered && list.length === 0) throw CONSUL_DENIED(what, 'the token may see nothing of it');
}

function indexOf(response: IncomingMessage, what: string): string {
  const index = response.headers['x-consul-index'];
  if (typeof index === 'string' && /^\d+$/.test(index)) return index;
  throw CONSUL_ANSWER(what, 'no X-Consul-Index; a Consul server sends one');
}

// One try at a Eureka cluster: a full list, told as one `sync`; then a delta at each poll, applied to our
// copy and believed when the copy then has the hash that came with it, else a full list again. A question
// that no server answers ends the try; the supervisor starts the next one.
import { isDeepStrictEqual } from 'node:util';
import { sleep } from '../../lib/clock.ts';
import type { Clock } from '../../lib/clock.ts';
import { takeTurns } from '../../lib/turns.ts';
import type { DiscoveryUpdate } from '../../model/discovery.ts';
import type { EndpointGroup } from '../../model/endpoint.ts';
import type { Warner } from '../warn-once.ts';
import type { EurekaClient, Heard } from './client.ts';
import { RegistryCopy } from './copy.ts';
import type { CopyOptions } from './copy.ts';
import { EUREKA_ANSWER } from './errors.ts';
import { overdueLeases } from './leases.ts';

export interface EurekaContext {
  readonly urls: readonly string[];
  readonly copy: CopyOptions;
  readonly pollMs: number;
  readonly clock: Clock;
  readonly warn: Warner;
  /** The number of instances that cannot be used. */
  onBad(count: number): void;
  /** Our copy as it was last; kept from try to try. */
  known: RegistryCopy | undefined;
  /** What is not as it should be although the source lives, or ''. */
  notice: string;
  /** What the leases of the last full list say, or ''. */
  leases: string;
}

/** A server whose hash never fits is not asked for everything at each poll. */
const MAX_FULL_EVERY_MS = 60_000;
/** Beyond that many a list is believed as it is: the blast guard looks at those. */
const MAX_ASKED_AGAIN = 64;

export async function watchEureka(
  context: EurekaContext,
  client: EurekaClient,
  emit: (update: DiscoveryUpdate) => void,
  signal: AbortSignal,
): Promise<never> {
  const told = new Map<string, EndpointGroup>();
  const polls = new Polls(context, client);
  const turns = takeTurns(signal);
  for (const service of (await polls.first(signal)).services()) {
    tell(context, told, service);
    if (turns.due) await turns.next();
  }
  signal.throwIfAborted();
  emit({ type: 'sync', groups: [...told.values()] });
  for (;;) {
    await sleep(context.pollMs * (0.9 + 0.1 * Math.random()), signal, context.clock);
    for (const service of await polls.next(signal)) {
      const update = tell(context, told, service);
      if (update) emit(update);
      if (turns.due) await turns.next();
    }
  }
}

/** What is new of a service since it was told last. */
function tell(
  { known }: EurekaContext,
  told: Map<string, EndpointGroup>,
  service: string,
): DiscoveryUpdate | undefined {
  const group = known?.group(service);
  if (!group) return told.delete(service) ? { type: 'gone', service } : undefined;
  if (isDeepStrictEqual(told.get(service), group)) return undefined;
  told.set(service, group);
  return { type: 'group', group };
}

class Polls {
  readonly #context: EurekaContext;
  readonly #client: EurekaClient;
  /** Who the copy is from: a delta of another server does not fit on it. */
  #server = -1;
  /** Full lists in a row after which the hash still did not fit. */
  #misfits = 0;
  #nextFullAt = 0;
  #offersDelta = true;

  constructor(context: EurekaContext, client: EurekaClient) {
    this.#context = context;
    this.#client = client;
  }

  async first(signal: AbortSignal): Promise<RegistryCopy> {
    return this.#take(await this.#client.full(signal), signal);
  }

  /** Services that may have changed. */
  async next(signal: AbortSignal): Promise<Iterable<string>> {
    const delta = this.#offersDelta ? await this.#client.delta(signal) : undefined;
    const { known } = this.#context;
    if (!delta) {
      this.#offersDelta = false;
      return this.#full(signal);
    }
    if (!known || delta.server !== this.#server) return this.#full(signal);
    const changed = new Set<string>();
    const turns = takeTurns(signal);
    for (const app of delta.answer.apps) {
      for (const service of known.apply(app)) changed.add(service);
      if (turns.due) await turns.next();
    }
    this.#check(known);
    const { hash } = delta.answer;
    if (hash === known.hash()) {
      this.#misfits = 0;
      this.#context.notice = '';
      return changed;
    }
    if (this.#context.clock.monotonic() < this.#nextFullAt) return changed;
    const all = [...changed, ...(await this.#full(signal))];
    this.#putOff();
    return all;
  }

  async #full(signal: AbortSignal): Promise<string[]> {
    const before = this.#context.known?.services() ?? [];
    const copy = await this.#take(await this.#client.full(signal), signal);
    return [...new Set([...before, ...copy.services()])];
  }

  async #take({ answer, server }: Heard, signal: AbortSignal): Promise<RegistryCopy> {
    const { copy: options, urls, known } = this.#context;
    const copy = new RegistryCopy(options);
    const turns = takeTurns(signal);
    for (const app of answer.apps) {
      copy.add(app, known);
      if (turns.due) await turns.next();
    }
    const { hash = '' } = answer;
    if (hash !== '' && copy.hash() === '') {
      throw EUREKA_ANSWER(urlForPeople(urls[server]), `it lists nothing and says that it has ${hash}`);
    }
    if (known) {
      await this.#askAgain(copy, known, server, signal);
      copy.remember(known);
    }
    if (server !== this.#server) this.#offersDelta = true;
    this.#server = server;
    this.#context.known = copy;
    this.#context.leases = overdueLeases(answer, this.#context.clock.now());
    this.#check(copy);
    return copy;
  }

  /**
   * A full list may be older than the deltas before it: Eureka's cache keeps one that it filled while something
   * was registered. So before a few are believed gone, the registry behind the cache is asked about each.
   */
  async #askAgain(
    copy: RegistryCopy,
    known: RegistryCopy,
    server: number,
    signal: AbortSignal,
  ): Promise<void> {
    const missing = copy.missing(known);
    if (missing.length > MAX_ASKED_AGAIN) return;
    for (const of of missing) {
      const said = await this.#client.instance(of, server, signal);
      if (said === undefined) return;
      if (said !== 'gone') copy.add({ name: of.app, instance: [said] }, known);
    }
  }

  /** One full list mends a delta that was missed. If it does not, the next ones come ever more rarely. */
  #putOff(): void {
    const { clock, pollMs } = this.#context;
    this.#misfits += 1;
    if (this.#misfits < 3) return;
    this.#context.notice = 'apps__hashcode of Eureka does not fit what it lists; full lists are read instead';
    this.#nextFullAt = clock.monotonic() + Math.min(MAX_FULL_EVERY_MS, pollMs * 2 ** (this.#misfits - 2));
  }

  #check(copy: RegistryCopy): void {
    const { warn } = this.#context;
    for (const [instance, why] of copy.bad)
      warn.once(instance, 'an instance cannot be used', { instance, why });
    this.#context.onBad(copy.bad.size);
  }
}

function urlForPeople(text = ''): string {
  const url = new URL(text);
  url.username = '';
  url.password = '';
  return url.href;
}

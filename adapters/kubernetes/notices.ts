// What a source has to do without although it lives: shown beside its state, and logged once. Kept over
// reconnects, so that the same complaint is not made at each of them.
import { describeError } from '../../lib/errors.ts';
import type { Logger } from '../../telemetry/logger.ts';

export class Notices {
  readonly #log: Logger;
  /** Resource → namespace → what is missing and why. */
  readonly #notices = new Map<string, Map<string, string>>();
  /** Resources that were complained about already. */
  readonly #said = new Set<string>();

  constructor(log: Logger) {
    this.#log = log;
  }

  /** '' when nothing is missing. */
  get text(): string {
    return [...this.#notices.values()]
      .flatMap((byNamespace) => [...byNamespace.values()].slice(0, 1))
      .join('; ');
  }

  add(resource: string, namespace: string, missing: string, thrown: unknown): void {
    const text = `${missing}: ${describeError(thrown)}`;
    const byNamespace = this.#notices.get(resource) ?? new Map<string, string>();
    this.#notices.set(resource, byNamespace.set(namespace, text));
    if (this.#said.has(resource)) return;
    this.#said.add(resource);
    this.#log.warn({ cause: text }, 'source is live, but something is missing');
  }

  clear(resource: string, namespace: string): void {
    const byNamespace = this.#notices.get(resource);
    byNamespace?.delete(namespace);
    if (byNamespace?.size === 0) this.#notices.delete(resource);
  }
}

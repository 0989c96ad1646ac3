// What the sidecars of a service are taken to say where they say nothing themselves, as the control plane has it now.
// Written with each change of resources, read by the source.
import type { RegistrationTemplate } from '../../model/sidecars.ts';

type ByService = ReadonlyMap<string, RegistrationTemplate>;

export class SidecarTemplates {
  #templates: ByService = new Map();
  readonly #listeners = new Set<(services: readonly string[]) => void>();

  of(service: string): RegistrationTemplate | undefined {
    return this.#templates.get(service);
  }

  set(templates: ByService): void {
    const before = this.#templates;
    this.#templates = templates;
    const changed = [...new Set([...before.keys(), ...templates.keys()])].filter(
      (service) => textOf(before, service) !== textOf(templates, service),
    );
    if (changed.length > 0) for (const listener of this.#listeners) listener(changed);
  }

  /** Told of services with another template than before; the returned function ends it. */
  subscribe(listener: (services: readonly string[]) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

const textOf = (templates: ByService, service: string): string =>
  JSON.stringify(templates.get(service) ?? null);

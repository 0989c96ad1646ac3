// How endpoints get into a registry for callers outside: the same for every kind that can be written to. A kind's
// code is loaded only when something is to be written into a source of that kind.
import type { ConsulSource, EurekaSource } from '../config/schema.ts';
import type { Clock } from '../lib/clock.ts';
import type { Written } from '../model/sidecars.ts';

export interface Registrar {
  /** From now on it is this one that writes, whoever did before. */
  lead(): void;
  /**
   * Makes the registry have just these with our mark, each with a sign of life where one is due. False when another
   * one writes now. Wants to be called again within 8 s, or what was written may run out.
   * @throws ISTHMUS_CONSUL_WRITE, ISTHMUS_EUREKA_WRITE: nothing more can be written, or not all of it.
   */
  write(wanted: readonly Written[], signal: AbortSignal): Promise<boolean>;
  /** Leaves what is written as it is: another replica may go on with it. */
  close(): void;
}

export type WritableSource = ConsulSource | EurekaSource;

/** @param owner the mark. @throws ISTHMUS_CONSUL_FILE, ISTHMUS_EUREKA_TLS */
export async function openRegistrar(config: WritableSource, owner: string, clock: Clock): Promise<Registrar> {
  switch (config.kind) {
    case 'consul':
      return (await import('./consul/registrar.ts')).ConsulRegistrar.open({ config, owner, clock });
    case 'eureka':
      return new (await import('./eureka/registrar.ts')).EurekaRegistrar({ config, owner, clock });
  }
}

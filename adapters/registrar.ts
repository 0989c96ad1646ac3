// How endpoints get into a registry for callers outside: the same for every kind that can be written to.
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

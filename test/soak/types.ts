// What a soak is to the command that runs it. Types only.

export interface SoakOptions {
  readonly minutes: number;
  readonly seed: number;
  readonly kinds: readonly string[];
  /** An Envoy beside the bundled proxy. Default false. */
  readonly envoy?: boolean;
  /** Every step, not only the slow ones. */
  readonly verbose: boolean;
  /** A line to the terminal. */
  readonly say: (text: string) => void;
}

export interface Soak {
  readonly title: string;
  /** What --kinds may choose from. */
  readonly kinds: readonly string[];
  /** True when nothing was violated. Leaves nothing running, also when `signal` aborts. */
  run(options: SoakOptions, signal: AbortSignal): Promise<boolean>;
}

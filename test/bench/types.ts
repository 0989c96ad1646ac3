// The words of the benches: a row has peers; each repetition takes one sample of each peer; goals compare
// the minimums of two peers. Plain data only.

/** What one repetition of one peer gave: metric key → number. */
export type Sample = Readonly<Record<string, number>>;

export interface Metric {
  readonly key: string;
  /** With its unit: `CPU, µs per request`. */
  readonly title: string;
  readonly digits: number;
  /** A ratio of it to a peer's says nothing. */
  readonly bare?: boolean;
}

export interface Goal {
  readonly text: string;
  readonly metric: string;
  readonly of: string;
  /** Without it the metric itself is the value: a budget. */
  readonly to?: string;
  /** A peer whose value is taken off both sides before they are divided. */
  readonly less?: string;
  /** The ratio of minimums, or the minimum itself, must not pass this. */
  readonly atMost: number;
}

export interface Peer {
  readonly name: string;
  /** Name and version, for the report. */
  readonly version: string;
  /** One repetition; ends early, and rejects, when `signal` aborts. */
  measure(signal: AbortSignal): Promise<Sample>;
}

export interface Skipped {
  readonly peer: string;
  readonly reason: string;
}

/** What a row needs to start its servers. */
export interface Stage {
  readonly cores: Cores;
  readonly children: ChildrenLike;
  /** A folder that is removed when the row ends. */
  readonly dir: string;
  /** The built tree that is measured, and in it the command `isthmus`. */
  readonly dist: string;
  readonly cli: string;
  /** Options for the node process under test: the profiler's, or none. */
  readonly nodeOptions: readonly string[];
  /** Only this peer is wanted (the profiled pass). */
  readonly only: string | undefined;
  /** Peers beyond those that goals need. */
  readonly all: boolean;
  readonly signal: AbortSignal;
}

/** Core numbers for taskset; undefined: no pinning. */
export interface Cores {
  readonly server: number | undefined;
  readonly load: number | undefined;
}

export interface ChildrenLike {
  start(options: StartOptions): Child;
  stop(child: Child, graceMs?: number): Promise<void>;
}

export interface StartOptions {
  readonly name: string;
  readonly core: number | undefined;
  readonly command: string;
  readonly args: readonly string[];
}

export interface Child {
  readonly name: string;
  readonly pid: number;
  /** Monotonic milliseconds. */
  readonly startedAt: number;
  /** Exit code once it has ended; a signal counts as 128. */
  readonly ended: Promise<number>;
  readonly hasEnded: boolean;
  /** Everything it wrote to standard output. */
  stdout(): string;
  /** The end of what it wrote to standard error. */
  stderr(): string;
}

export interface Prepared {
  readonly peers: readonly Peer[];
  readonly skipped: readonly Skipped[];
  /** Ends what `prepare` started beside the stage's children. */
  close?(): Promise<void>;
}

export interface Row {
  readonly name: string;
  /** Rows of one group run together by its name, and not when no name is given. */
  readonly group?: string;
  /** When `-r` does not say otherwise. */
  readonly repetitions?: number;
  readonly title: string;
  readonly metrics: readonly Metric[];
  readonly goals: readonly Goal[];
  /** The peer that is ours: profiled when a goal is missed. */
  readonly own: string;
  /** Hard bound on one repetition of one peer, start of its servers included. Milliseconds. */
  readonly measureMs: number;
  prepare(stage: Stage): Promise<Prepared>;
}

export interface GoalResult {
  readonly text: string;
  readonly atMost: number;
  /** A budget: `ratio` is the value itself. */
  readonly absolute: boolean;
  /** undefined: a side gave no number. */
  readonly ratio: number | undefined;
  readonly met: boolean | undefined;
}

export interface RowResult {
  readonly row: string;
  readonly title: string;
  readonly startedAt: string;
  readonly seconds: number;
  readonly loadAverage: readonly number[];
  readonly peers: Readonly<Record<string, { readonly version: string; readonly samples: readonly Sample[] }>>;
  readonly skipped: readonly Skipped[];
  readonly goals: readonly GoalResult[];
}

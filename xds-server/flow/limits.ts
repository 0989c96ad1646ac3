// What the server lets its clients cost.

export interface FlowLimits {
  /** A client that takes none of what was sent to it for so long is cut off, ms. */
  readonly slowReaderMs: number;
  /**
   * Connections are asked to come again after so long, ± 10 %, ms, so that replicas even out; 0: never. Streams
   * end in order up to a quarter of it later.
   */
  readonly maxConnectionAgeMs: number;
  /** New streams wait while more than so many bytes are under way to clients that have just come. */
  readonly startingBytes: number;
  /** They wait this long, ms; then they are sent away before any response, so that they back off. */
  readonly admissionWaitMs: number;
  /** More streams are sent away; 0: any number. */
  readonly maxStreams: number;
}

export const DEFAULT_LIMITS: FlowLimits = {
  slowReaderMs: 30_000,
  maxConnectionAgeMs: 1_800_000,
  startingBytes: 64 * 1024 * 1024,
  admissionWaitMs: 5_000,
  maxStreams: 0,
};

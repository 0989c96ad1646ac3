// What rules read of a request and of a response, whoever parsed it.

/** The parts of a request that routing reads. Header names are lower case. */
export interface RequestKey {
  /** As sent, lower case, with its port if it has one. */
  readonly authority: string;
  readonly path: string;
  /** '' when absent. */
  header(name: string): string;
}

export interface ResponseKey {
  readonly status: number;
  /** '' when absent; the name in lower case. */
  header(name: string): string;
}

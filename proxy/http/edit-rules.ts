// Changes that a route makes to heads, as plain data; edits.ts makes them.

/** What a value may depend on. */
export interface EditFacts {
  readonly flags: number;
  readonly cluster: string;
  readonly client: string;
  /** ADDRESS:PORT of the upstream host; '' without one. */
  readonly upstream: string;
}

export interface HeaderAdd {
  /** Lower case. */
  readonly name: string;
  readonly mode: 'append' | 'if-absent' | 'overwrite' | 'if-present';
  readonly value: (facts: EditFacts) => string;
  /** Else an empty value is no field at all. */
  readonly keepsEmpty?: boolean;
}

/** One level's edits (route, virtual host, route configuration): removals first. */
export interface HeaderEdits {
  readonly remove: readonly string[];
  readonly add: readonly HeaderAdd[];
}

export interface HeadRewrite {
  /** Path and query → path and query; undefined: unchanged. */
  readonly path?: (path: string) => string;
  /** Instead of the host that was asked for. */
  readonly host?: string;
}

// What a fault is to the contract suite. Types only.

/** Something that goes wrong with the registry; `end` mends it, and everything it knew is still there. */
export interface Fault {
  readonly name: string;
  /** How long it lasts in the long form, milliseconds. Default: until it was noticed. */
  readonly longMs?: number;
  begin(): Promise<void>;
  end(): Promise<void>;
}

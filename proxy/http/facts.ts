// What the substitutions in header edits are told of an exchange, read when they ask.
import type { Route } from '../route.ts';
import type { EditFacts } from './edit-rules.ts';

export class Facts implements EditFacts {
  readonly #exchange: { readonly flags: number; readonly route: Route };
  readonly #from: { readonly forwardedBy: { readonly clientAddress: string } };
  readonly #tries: { readonly attempt: { readonly host: { readonly key: string } | undefined } };

  constructor(
    exchange: { readonly flags: number; readonly route: Route },
    from: { readonly forwardedBy: { readonly clientAddress: string } },
    tries: { readonly attempt: { readonly host: { readonly key: string } | undefined } },
  ) {
    this.#exchange = exchange;
    this.#from = from;
    this.#tries = tries;
  }

  get flags(): number {
    return this.#exchange.flags;
  }

  get cluster(): string {
    return this.#exchange.route.cluster;
  }

  get client(): string {
    return this.#from.forwardedBy.clientAddress;
  }

  get upstream(): string {
    return this.#tries.attempt.host?.key ?? '';
  }
}

// How a client is told that a name does not exist, so that it stops waiting and goes live: per type and variant what
// Envoys (1.36 and 1.40, test/real/named.test.ts) take it from. Silence costs them 15 s; some answers cost more.
// Never a secret or a filter that could be taken: what is missing must not look like "nothing is checked".
import { encodedResource } from '../resource.ts';
import type { NamedType } from '../types.ts';
import { field, messageField, textField } from '../wire/writer.ts';
import { runtime } from './resources.ts';
import type { NamedResource } from './resources.ts';

export type Variant = 'delta' | 'sotw';

/** `removed`: by `removed_resources`. A resource: that one. undefined: the variant has no word for it. */
export type Absence = 'removed' | NamedResource | undefined;

/** Secret.session_ticket_keys, of which there must be one. */
const NO_TICKET_KEYS = field(3, Buffer.alloc(0));
/** TypedExtensionConfig.typed_config, which must be there, is not. */
const NO_CONFIG = Buffer.alloc(0);

export function absenceOf(variant: Variant, type: NamedType, name: string): Absence {
  switch (type) {
    case 'rtds':
      return variant === 'delta' ? 'removed' : runtime(name, new Map());
    case 'sds':
      return variant === 'delta' ? 'removed' : untakable(type, name, NO_TICKET_KEYS);
    case 'ecds':
      // A removal would end the timer and not the wait: the listener would stay away for ever.
      return untakable(type, name, NO_CONFIG);
    case 'srds':
      return variant === 'delta' ? 'removed' : undefined;
    case 'vhds':
      return variant === 'delta' ? nothingCalled(name) : undefined;
  }
}

/** Whether the client refuses to be told so; then its refusal is the end of it. */
export const isRefusedWhenAbsent = (variant: Variant, type: NamedType): boolean =>
  type === 'ecds' || (type === 'sds' && variant === 'sotw');

/**
 * Breaks a rule of its .proto file, whatever the client wants to use it for: it refuses it, and waits no more. A
 * secret with nothing but a name would be taken, by a listener that wants to know whom to trust: it would trust all.
 */
const untakable = (type: NamedType, name: string, rest: Buffer): NamedResource =>
  encodedResource(type, name, Buffer.concat([textField(1, name), rest]));

/** An entry without a resource, of which the name is an alias (xDS protocol, VHDS): there is no such host. */
function nothingCalled(name: string): NamedResource {
  const { bytes, sotw, ...rest } = {
    bytes: Buffer.alloc(0),
    sotw: Buffer.alloc(0),
    dependents: [],
    empty: true,
  };
  const delta = messageField(2, [textField(3, name), textField(4, name)]);
  return { type: 'vhds', name, version: '', delta, bytes, sotw, ...rest };
}

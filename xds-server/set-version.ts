// The version of a set of resources: the sum of its members' versions. It does not depend on any order, and
// a set that changes by one member is versioned again by one addition, whatever its size.
import type { EncodedResource } from './resource.ts';

const BITS = 96;
const HEX_DIGITS = BITS / 4;

/** A set's sum, kept up to date member by member. A member's version covers its name, which its bytes hold. */
export class SetVersion {
  #sum = 0n;
  /** The last answer: a change asks the same for each client. */
  #last: { readonly sum: bigint; readonly text: string } | undefined;

  add(member: Pick<EncodedResource, 'version'>): void {
    this.#sum = BigInt.asUintN(BITS, this.#sum + BigInt(`0x${member.version}`));
  }

  remove(member: Pick<EncodedResource, 'version'>): void {
    this.#sum = BigInt.asUintN(BITS, this.#sum - BigInt(`0x${member.version}`));
  }

  /** Version of the union with a disjoint set. */
  with(other: SetVersion | undefined): string {
    const sum = this.#sum + (other ? other.#sum : 0n);
    if (this.#last?.sum !== sum) {
      const text = BigInt.asUintN(BITS, sum).toString(16).padStart(HEX_DIGITS, '0');
      this.#last = { sum, text };
    }
    return this.#last.text;
  }
}

/** The version of a set of resources, whatever the order they are given in. */
export function hashOfSet(resources: Iterable<Pick<EncodedResource, 'version'>>): string {
  const set = new SetVersion();
  for (const resource of resources) set.add(resource);
  return set.with(undefined);
}

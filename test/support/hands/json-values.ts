// Instances in the layout `json`, as they stand in etcd and ZooKeeper. The mark is the weight.
import { DEFAULT_MARK } from './hand.ts';
import type { Instance } from './hand.ts';

export function jsonValue({ address, port, mark = DEFAULT_MARK }: Instance): string {
  return JSON.stringify({ address, port, weight: Number(mark) });
}

export function fromJsonValue(text: string): Required<Instance> {
  const { address, port, weight } = JSON.parse(text) as { address: string; port: number; weight: number };
  return { address, port, mark: String(weight) };
}

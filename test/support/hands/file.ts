// A hand on a file in Prometheus's file_sd format. The mark is the weight.
import { readFile, rename, writeFile } from 'node:fs/promises';
import { DEFAULT_MARK, byService } from './hand.ts';
import type { Hand, Instance } from './hand.ts';

interface TargetGroup {
  readonly targets: readonly string[];
  readonly labels: { readonly service: string; readonly weight: string };
}

export interface FileHand extends Hand {
  /** What should stand in it. */
  text(): string;
  /** Puts that into it, as a whole. */
  write(): Promise<void>;
}

export function fileHand(path: string): FileHand {
  const services = new Map<string, readonly Instance[]>();
  const text = () => {
    const groups = [...services].flatMap(([service, instances]) =>
      instances.map(
        ({ address, port, mark = DEFAULT_MARK }): TargetGroup => ({
          targets: [`${address}:${port}`],
          labels: { service, weight: mark },
        }),
      ),
    );
    return JSON.stringify(groups, undefined, 2);
  };
  const write = async () => {
    await writeFile(`${path}.next`, text());
    await rename(`${path}.next`, path);
  };
  return {
    text,
    write,
    async set(service, instances) {
      services.set(service, instances);
      await write();
    },
    async ask() {
      const groups = JSON.parse(await readFile(path, 'utf8')) as TargetGroup[];
      return byService(
        groups.map(({ targets: [target = ''], labels }) => {
          const [address = '', port] = target.split(':');
          return [labels.service, { address, port: Number(port), mark: labels.weight }] as const;
        }),
      );
    },
    close: async () => undefined,
  };
}

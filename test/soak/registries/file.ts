// A file as a registry of the soak.
import { rm, writeFile } from 'node:fs/promises';
import { fileHand } from '../../support/hands/file.ts';
import type { Registry, SoakFault } from './registry.ts';

export async function startFile(path: string, stop: () => Promise<void>): Promise<Registry> {
  const hand = fileHand(path);
  await hand.write();
  const bad = (name: string, begin: () => Promise<void>): SoakFault => ({
    name,
    layer: 'server',
    writable: false,
    begin,
    end: () => hand.write(),
  });
  return {
    hand,
    source: { kind: 'file', path },
    faults: [
      bad('away', () => rm(path)),
      bad('empty', () => writeFile(path, '')),
      bad('ends in the middle', () => writeFile(path, hand.text().slice(0, -3))),
      bad('a web page', () => writeFile(path, '<html><body>Sign in</body></html>')),
    ],
    healed: 'the file as it is read',
    log: () => '',
    stop,
  };
}

// `isthmus validate -f FILE`: says whether `serve` would take this config, or these resources. Starts nothing,
// asks nobody.
import { readFile, stat } from 'node:fs/promises';
import { loadConfig } from '../../config/load.ts';
import { rulesFrom } from '../../config/policy.ts';
import { knownSources } from '../../config/known-sources.ts';
import { holdsResources, loadResources } from '../../config/resources.ts';
import { DEFAULT_RULES } from '../../model/rules.ts';
import { write } from '../output.ts';

export async function validate(file: string): Promise<void> {
  if (await isResources(file)) {
    const { count } = await loadResources([file], { base: DEFAULT_RULES });
    return write(`${file}: ok; resources: ${count}\n`);
  }
  const config = await loadConfig(file, { env: process.env });
  const context = { base: rulesFrom(config.merge), sources: knownSources(config) };
  const { count } = await loadResources(config.resources, context);
  const sources = config.sources.map((source) => `${source.name} (${source.kind})`).join(', ');
  write(`${file}: ok; sources: ${sources}${count === 0 ? '' : `; resources: ${count}`}\n`);
}

/** What cannot be read is taken for a config: loading it says why. */
async function isResources(file: string): Promise<boolean> {
  try {
    if ((await stat(file)).isDirectory()) return true;
    return holdsResources(await readFile(file, 'utf8'), file);
  } catch {
    return false;
  }
}

// `isthmus validate -f FILE`: says whether `serve` would take this config. Starts nothing, asks nobody.
import { loadConfig } from '../../config/load.ts';
import { write } from '../output.ts';

export async function validate(file: string): Promise<void> {
  const config = await loadConfig(file, { env: process.env });
  const sources = config.sources.map((source) => `${source.name} (${source.kind})`).join(', ');
  write(`${file}: ok; sources: ${sources}\n`);
}

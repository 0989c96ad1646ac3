// The version in package.json, whether run from source or from dist.
import { existsSync, readFileSync } from 'node:fs';

export function version(): string {
  const file = ['../package.json', '../../package.json']
    .map((path) => new URL(path, import.meta.url))
    .find((url) => existsSync(url));
  if (!file) return 'unknown';
  const { version: found } = JSON.parse(readFileSync(file, 'utf8')) as { version?: string };
  return found ?? 'unknown';
}

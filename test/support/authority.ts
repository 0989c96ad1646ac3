// A certificate authority for tests, made by openssl: any number of certificates, each with the names that a test
// wants in it, good for a day.
import { execFile } from 'node:child_process';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

export interface Pair {
  /** Files, PEM. */
  readonly cert: string;
  readonly key: string;
}

export interface Authority extends Pair {
  /** @param file without ending. @param names as in subjectAltName: `URI:spiffe://…`, `DNS:…`, `IP:…`. */
  sign(file: string, ...names: readonly string[]): Promise<Pair>;
  /** Another authority below this one; what it signs has its own certificate behind it. */
  below(file: string): Promise<Authority>;
}

const EC = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

/** Writes into `dir`. @throws when there is no openssl. */
export async function makeAuthority(dir: string, file = 'ca'): Promise<Authority> {
  const ca = { cert: join(dir, `${file}.pem`), key: join(dir, `${file}.key`) };
  await openssl(dir, 'req', ...EC, '-x509', '-days', '1', '-subj', `/CN=test ${file}`, ...out(ca));
  return authority(dir, ca, '');
}

function authority(dir: string, ca: Pair, chain: string): Authority {
  const sign = async (file: string, extensions: string) => {
    const pair = { cert: join(dir, `${file}.pem`), key: join(dir, `${file}.key`) };
    const [request, ext] = [join(dir, `${file}.csr`), join(dir, `${file}.ext`)];
    await writeFile(ext, extensions);
    await openssl(dir, 'req', ...EC, '-subj', `/CN=${file}`, '-keyout', pair.key, '-out', request);
    const by = ['-CA', ca.cert, '-CAkey', ca.key, '-CAcreateserial', '-days', '1', '-extfile', ext];
    await openssl(dir, 'x509', '-req', '-in', request, ...by, '-out', pair.cert);
    return pair;
  };
  return {
    ...ca,
    async sign(file, ...names) {
      const pair = await sign(file, names.length === 0 ? '' : `subjectAltName=${names.join(',')}\n`);
      if (chain !== '') await writeFile(pair.cert, (await readFile(pair.cert, 'utf8')) + chain);
      return pair;
    },
    async below(file) {
      const pair = await sign(file, 'basicConstraints=critical,CA:TRUE\n');
      return authority(dir, pair, (await readFile(pair.cert, 'utf8')) + chain);
    },
  };
}

/** Puts one pair in the place of another, as those who rotate certificates do: whole files, one after the other. */
export async function replacePair(place: Pair, by: Pair): Promise<void> {
  for (const of of ['cert', 'key'] as const) {
    await writeFile(`${place[of]}.new`, await readFile(by[of]));
    await rename(`${place[of]}.new`, place[of]);
  }
}

const out = ({ cert, key }: Pair) => ['-keyout', key, '-out', cert];

async function openssl(cwd: string, ...args: readonly string[]): Promise<void> {
  await promisify(execFile)('openssl', [...args], { cwd });
}

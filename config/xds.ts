// `xds:` of the config: where data planes connect, with and without TLS, and what they may cost.
import { z } from 'zod';
import { parseListenAddress } from './addresses.ts';
import { duration } from './duration.ts';

/** host:port, [v6]:port or :port; port 0 picks a free one. */
export const listenAddress = z
  .string()
  .refine((text) => parseListenAddress(text) !== undefined, 'HOST:PORT, such as 127.0.0.1:15010');

const file = z.string().min(1, 'a PEM file');

/** PEM files, read again when they change. */
const tls = z.strictObject({
  listen: listenAddress,
  cert: file,
  key: file,
  /** Who signs the certificates of data planes. */
  clientCa: file,
  /** Which certificate may speak for which services, see config/identities.ts. Empty: the usual forms. */
  identitiesFile: z.string().default(''),
  /** SPIFFE ids of another trust domain count for nothing. Absent: any that `clientCa` signs. */
  trustDomain: z
    .string()
    .max(255)
    .regex(/^[a-z0-9._-]+$/, 'a trust domain such as example.org, in lower case and without spiffe://')
    .optional(),
  /** Streams that last are looked at again so often. */
  recheck: duration('30s').refine((ms) => ms > 0, 'a duration above 0'),
});

export const xds = z
  .strictObject({
    /** Empty: none, where there is `tls`. */
    plaintext: z.union([z.literal(''), listenAddress]).default('127.0.0.1:15010'),
    tls: tls.optional(),
    /** How often data planes report what became of their requests. */
    loadReportInterval: duration('10s'),
    /** Of so many percent of their outbound requests Envoys tell how long they took; 0: none. */
    accessLog: z.strictObject({ samplePercent: z.number().min(0).max(100).default(10) }).prefault({}),
    /** Connections are asked to come again after so long, so that replicas even out; 0: never. */
    maxConnectionAge: duration('30m'),
    /** A client that takes nothing for so long is cut off. */
    slowReaderTimeout: duration('30s').refine((ms) => ms > 0, 'a duration above 0'),
    /** New streams wait while so many megabytes are under way to those that have just come. */
    maxStartingMegabytes: z.int().min(1).default(64),
    /** More streams are sent away; 0: any number. */
    maxStreams: z.int().min(0).default(0),
  })
  .refine(({ plaintext, tls: secured }) => plaintext !== '' || secured !== undefined, {
    message: 'an address, or `xds.tls` beside it: else nobody can connect',
    path: ['plaintext'],
  })
  .prefault({});

export type XdsTls = z.infer<typeof tls>;

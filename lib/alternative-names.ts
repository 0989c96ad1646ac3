// The names in a certificate, from the text that Node gives.

/**
 * @param text `subjectAltName` of an X509Certificate, or `subjectaltname` of a peer's: `URI:spiffe://a/b, DNS:c`;
 * what could be misread stands in quotes there. @returns kind and name of each.
 */
export function alternativeNames(text: string): readonly (readonly [kind: string, name: string])[] {
  return [...text.matchAll(/(?:^|, )([A-Za-z ]+):("(?:[^"\\]|\\.)*"|[^,"]*)(?=, |$)/g)].map(
    ([, kind = '', value = '']) => [kind, value.startsWith('"') ? (JSON.parse(value) as string) : value],
  );
}

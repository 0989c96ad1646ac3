import { expect, test } from 'vitest';
import { plainError, plainWords } from '../../../adapters/plain-words.ts';

const EPROTO =
  'write EPROTO 80BC23053C7F0000:error:0A00010B:SSL routines:ssl3_get_record:wrong version number:../deps/openssl/openssl/ssl/record/ssl3_record.c:350:\n';
const ALERT =
  '80BC23053C7F0000:error:0A00045C:SSL routines:ssl3_read_bytes:tlsv13 alert certificate required:../deps/openssl/openssl/ssl/record/rec_layer_s3.c:1601:SSL alert number 116';

test.each([
  [EPROTO, 'the server does not speak TLS there (TLS: wrong version number)'],
  [`it: ${ALERT}`, 'it: the server wants a client certificate (TLS: tlsv13 alert certificate required)'],
  [ALERT.replace('certificate required', 'bad record mac'), 'TLS: tlsv13 alert bad record mac'],
  ['connect ECONNREFUSED 127.0.0.1:1', 'connect ECONNREFUSED 127.0.0.1:1'],
  ['', ''],
])('%j becomes %j', (said, plain) => {
  expect(plainWords(said)).toBe(plain);
});

test('an error keeps its code, and itself where it was plain', () => {
  const error = Object.assign(new Error(EPROTO), { code: 'EPROTO' });
  expect(plainError(error)).toMatchObject({ code: 'EPROTO', message: plainWords(EPROTO) });
  const plain = new Error('socket hang up');
  expect(plainError(plain)).toBe(plain);
});

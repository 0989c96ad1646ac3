// Encoded pieces in a row that are copied together only when somebody wants the bytes, into a buffer of the right
// size: for a resource that is made of very many parts and changes more often than it is sent.

export interface Piece {
  readonly length: number;
  /** Writes all of it, from there on. */
  put(into: Buffer, at: number): void;
}

export const pieceOf = (bytes: Uint8Array): Piece => ({
  length: bytes.length,
  put: (into, at) => into.set(bytes, at),
});

export const rope = (pieces: readonly Piece[]): Piece => ({
  length: pieces.reduce((sum, piece) => sum + piece.length, 0),
  put(into, at) {
    let end = at;
    for (const piece of pieces) {
      piece.put(into, end);
      end += piece.length;
    }
  },
});

/** Field `number`, up to 2047, that holds the piece. */
export function fieldOf(number: number, piece: Piece): Piece {
  return rope([pieceOf(Buffer.from([...varint(number * 8 + 2), ...varint(piece.length)])), piece]);
}

export function bytesOf(piece: Piece): Buffer {
  const out = Buffer.allocUnsafeSlow(piece.length);
  piece.put(out, 0);
  return out;
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  return [...bytes, rest];
}

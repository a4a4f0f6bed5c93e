/**
 * Names in order, in pieces of bounded length: to put one into the middle of a single array of 50,000 moves half of them, which was a
 * tenth of the time of a create.
 */
const PIECE_MAX = 512;

export class SortedNames implements Iterable<string> {
  /** None is empty, and each is sorted and before the next. */
  readonly #pieces: string[][] = [];
  length = 0;

  /** Returns false when the name is there already. */
  add(name: string): boolean {
    const at = Math.min(this.#pieceOf(name), this.#pieces.length - 1);
    const piece = this.#pieces[at];
    if (!piece) {
      this.#pieces.push([name]);
    } else {
      const place = lowerBound(piece, name);
      if (piece[place] === name) return false;
      if (place === piece.length) piece.push(name);
      else piece.splice(place, 0, name);
      if (piece.length > PIECE_MAX) this.#split(at, piece, place);
    }
    this.length++;
    return true;
  }

  /** In halves; but what came at the very end is likely to be followed by more of its kind, so then the old piece stays full. */
  #split(at: number, piece: string[], place: number): void {
    const atEnd = at === this.#pieces.length - 1 && place === piece.length - 1;
    this.#pieces.splice(at + 1, 0, piece.splice(atEnd ? PIECE_MAX : PIECE_MAX >> 1));
  }

  remove(name: string): boolean {
    const at = this.#pieceOf(name);
    const piece = this.#pieces[at];
    const place = piece ? lowerBound(piece, name) : 0;
    if (!piece || piece[place] !== name) return false;
    piece.splice(place, 1);
    if (piece.length === 0) this.#pieces.splice(at, 1);
    this.length--;
    return true;
  }

  /** How many names come after this one, whether it is there or not. */
  countAfter(name: string): number {
    const at = this.#pieceOf(name);
    const piece = this.#pieces[at];
    if (!piece) return 0;
    const place = lowerBound(piece, name);
    let count = piece.length - place - (piece[place] === name ? 1 : 0);
    for (let i = at + 1; i < this.#pieces.length; i++) count += this.#pieces[i]!.length;
    return count;
  }

  [Symbol.iterator](): Generator<string> {
    return this.#from(0, 0);
  }

  /** Those that come after `name`. They must not change while this runs. */
  *after(name: string): Generator<string> {
    const at = this.#pieceOf(name);
    const piece = this.#pieces[at];
    if (!piece) return;
    const place = lowerBound(piece, name);
    yield* this.#from(at, piece[place] === name ? place + 1 : place);
  }

  *#from(at: number, place: number): Generator<string> {
    for (let i = at; i < this.#pieces.length; i++) {
      const piece = this.#pieces[i]!;
      for (let j = i === at ? place : 0; j < piece.length; j++) yield piece[j]!;
    }
  }

  /** The first piece whose last name is not before this one; their number when there is none. */
  #pieceOf(name: string): number {
    let low = 0;
    let high = this.#pieces.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#pieces[middle]!.at(-1)! < name) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function lowerBound(names: readonly string[], name: string): number {
  let low = 0;
  let high = names.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (names[middle]! < name) low = middle + 1;
    else high = middle;
  }
  return low;
}

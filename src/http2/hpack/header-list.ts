// A header list as HPACK gives it, before anybody has asked whether it is a request's.

/** Shared by all blocks that decode to it: never changed, but for `memo`. */
export interface HeaderList {
  /** [name, value, name, value, ...], pseudo-header fields included, in the order sent. Empty where it is too large. */
  readonly fields: readonly string[];
  /** The list's size is over the limit. The block was decoded all the same, since later ones depend on its table entries. */
  readonly tooLarge: boolean;
  /** What the decoder's user has made of the list, kept for the next block that decodes to it. */
  memo: unknown;
}
